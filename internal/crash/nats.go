package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/rescindhq/rescind/internal/natsd"
)

// natsVariable is set for the process that is to be the NATS server, to its
// natsServer in JSON.
const natsVariable = "RESCIND_CRASH_NATS"

// natsServer is what the server is told.
type natsServer struct {
	Dir      string
	Port     int
	MaxStore int64
}

// MainIfChild must be called first in TestMain: in a process that a Site has
// started it is the NATS server and never returns, in any other it returns at
// once.
func MainIfChild() {
	text := os.Getenv(natsVariable)
	if text == "" {
		return
	}
	if err := serveNATS(text); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveNATS(text string) error {
	var told natsServer
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	s, err := natsd.Start(ctx, natsd.Config{Dir: told.Dir, Port: told.Port, MaxStore: told.MaxStore, Log: log})
	if err != nil {
		return err
	}
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	return s.Shutdown(stopping)
}

// natsCommand is this executable, as the NATS server.
func natsCommand(told natsServer) (func() *exec.Cmd, error) {
	text, err := json.Marshal(told)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), natsVariable+"="+string(text))
		return cmd
	}, nil
}
