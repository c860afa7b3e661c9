package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/demo"
	"github.com/rescindhq/rescind/internal/dev"
)

// stopWait bounds how long the demo's stack may take to stop.
const stopWait = 30 * time.Second

func newDemo(env environment) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Show what Rescind is for, on a real NATS and a real ClickHouse",
		Long: `Demo starts the whole stack in a temporary folder and plays a story with a real
ES256 token: issued, verified three times, revoked, refused everywhere; its
audit trail; the subject forgotten; the trail again; the token refused still.
It exits 0 only if all of that was observed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return playDemo(cmd, env, keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the stack running and say where, until Ctrl-C")
	return cmd
}

func playDemo(cmd *cobra.Command, env environment, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "rescind-demo-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "stack") // beside it a stack keeps who was erased
	tell := progress(cmd)
	tell("starting NATS and ClickHouse in " + dir)
	stack, err := dev.Start(cmd.Context(), dev.Options{Dir: dir, Getenv: env.getenv, Progress: tell})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), stopWait)
		defer cancel()
		err = errors.Join(err, stack.Stop(stopping))
	}()
	if err := tellStory(cmd, stack); err != nil {
		return err
	}
	if keep {
		printStack(cmd.ErrOrStderr(), dir, stack.File)
		<-cmd.Context().Done()
	}
	return nil
}

// tellStory plays the story; what was observed is printed even where it ends
// early.
func tellStory(cmd *cobra.Command, stack *dev.Stack) error {
	began := time.Now()
	step := func(s demo.Step) {
		if !asJSON(cmd) {
			fmt.Fprintf(cmd.OutOrStdout(), "✓ %-22s %8.1f ms  %s\n", s.Name, s.MS, s.Detail)
		}
	}
	story, played := demo.Play(cmd.Context(), stack, step)
	err := show(cmd, story, func(w io.Writer) { printStory(w, story, time.Since(began)) })
	return errors.Join(played, err)
}

func printStory(w io.Writer, s *demo.Story, elapsed time.Duration) {
	if len(s.Refusals) > 0 {
		fmt.Fprintf(w, "\nRevoked: when each verifier began to refuse\n")
		rows := make([][]string, len(s.Refusals))
		for i, r := range s.Refusals {
			rows[i] = []string{fmt.Sprint(r.Verifier), fmt.Sprintf("%.1f ms", r.FromRequest), fmt.Sprintf("%+.1f ms", r.FromAck)}
		}
		table(w, []string{"VERIFIER", "FROM REQUEST", "FROM ACKNOWLEDGEMENT"}, rows)
	}
	if len(s.Before) > 0 {
		fmt.Fprintf(w, "\nThe subject's trail\n")
		printTrail(w, s.Before)
	}
	if len(s.After) > 0 {
		fmt.Fprintf(w, "\nThe same trail, with the subject forgotten\n")
		printTrail(w, s.After)
	}
	if s.OK {
		fmt.Fprintf(w, "\nAll of it was observed, in %.1f s.\n", elapsed.Seconds())
	}
}
