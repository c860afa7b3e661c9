package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/engine"
)

// TestMain makes the test binary the command itself where a script runs
// rescind, and the ClickHouse child where that starts one.
func TestMain(m *testing.M) {
	engine.MainIfChild()
	testscript.Main(m, map[string]func(){"rescind": main})
}

// TestScripts runs the command as a person would, in testdata/*.txtar.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			cache, err := os.UserCacheDir()
			e.Setenv("XDG_CACHE_HOME", cache) // the engine is installed once, not for each script
			e.Setenv("RESCIND_DATA", filepath.Join(e.WorkDir, "data"))
			e.Setenv("GORACE", os.Getenv("GORACE")) // which has each command end a second later, unless told otherwise
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "waitfile": waitFile, "until": until, "interrupt": interrupt, "member": member, "clickhouse": inClickHouse, "verifier": startVerifier, "silence": silenceVerifier, "empty": empty, "receiver": startReceiver},
	})
}

// exits N CMD… runs a command and wants exit code N.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d (%v), want %d", got, err, want)
	}
}

const patience = 2 * time.Minute

// waitFile FILE waits until the file is there.
func waitFile(ts *testscript.TestScript, _ bool, args []string) {
	retry(ts, "no "+args[0], func() bool {
		_, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil
	})
}

// until TEXT CMD… runs a command again and again until it prints the text.
func until(ts *testscript.TestScript, _ bool, args []string) {
	retry(ts, fmt.Sprintf("%q was not printed", args[0]), func() bool {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir, cmd.Env = ts.Getenv("WORK"), environOf(ts)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // what it printed decides
		return strings.Contains(out.String(), args[0])
	})
}

func environOf(ts *testscript.TestScript) []string {
	env := []string{"PATH=" + ts.Getenv("PATH")}
	for _, name := range []string{"RESCIND_DATA", "XDG_CACHE_HOME", "HOME", "GORACE"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

func retry(ts *testscript.TestScript, what string, done func() bool) {
	deadline := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			ts.Fatalf("%s within %s", what, patience)
		case <-tick.C:
		}
	}
}

// member NAME MEMBER CMD… runs a command that prints JSON and keeps a member of it
// in the variable NAME.
func member(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec(args[2], args[3:]...))
	var out map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &out))
	text, ok := out[args[1]].(string)
	if !ok {
		ts.Fatalf("no text %s in %v", args[1], out)
	}
	ts.Setenv(args[0], text)
}

// empty DIR wants nothing to be in the folder.
func empty(ts *testscript.TestScript, _ bool, args []string) {
	left, err := os.ReadDir(args[0])
	ts.Check(err)
	for _, e := range left {
		ts.Fatalf("%s is left in %s", e.Name(), args[0])
	}
}

// interrupt sends Ctrl-C to what runs in the background.
func interrupt(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
}

// inClickHouse SQL… carries out a statement in the ClickHouse of the stack, as
// its owner, and waits for its effect.
func inClickHouse(ts *testscript.TestScript, _ bool, args []string) {
	d, err := dev.ReadFile(ts.Getenv("RESCIND_DATA"))
	ts.Check(err)
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{d.ClickHouse.Addr},
		Auth: clickhouse.Auth{Database: d.ClickHouse.Database, Username: d.ClickHouse.User, Password: d.ClickHouse.Password}})
	ts.Check(err)
	defer conn.Close()
	ctx := clickhouse.Context(context.Background(), clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	ts.Check(conn.Exec(ctx, strings.Join(args, " ")))
}
