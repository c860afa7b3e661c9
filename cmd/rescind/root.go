package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// environment is the environment of the process, as os.Environ gives it.
type environment []string

// getenv is the value of the variable, or "".
func (e environment) getenv(name string) string {
	for i := len(e) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// errNo is the answer no: refused, revoked or invalid. What was printed says
// why.
var errNo = errors.New("no")

// usageError is a command line that cannot be carried out.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run carries out one command line. It is all that main does.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	root := newRoot(environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && strings.HasPrefix(err.Error(), "required flag") { // cobra has no type for it
		return usage("%w (see %s --help)", err, cmd.CommandPath())
	}
	return err
}

func newRoot(env environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "rescind",
		Short: "Revoke tokens everywhere, prove what happened to them, forget people",
		Long: `Rescind revokes tokens everywhere, proves what happened to them, and forgets people.

Exit codes: 0 done; 1 failed, or refused by the server, and the message says why; 2 the command line is
wrong; 3 the answer is no: revoked or unknown, some were refused, leaks or differences were found.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.HasSubCommands() && cmd.HasParent() {
			return usage("%w: a command of %s comes first (see %s --help)", err, cmd.CommandPath(), cmd.CommandPath())
		}
		return usage("%w (see %s --help)", err, cmd.CommandPath())
	})
	root.PersistentFlags().Bool("json", false, "print the result as JSON")
	root.AddCommand(
		newDemo(env), newDev(env), newServe(env), newBench(env),
		newPublish(env), newRevoke(env), newLift(env), newCheck(env), newAudit(env), newRequest(env), newHold(env),
		newFindings(env), newQuarantine(env), newVerifiers(env), newVerify(env), newRebuild(env),
		newToken(env), newKeys(env), newMigrate(env), newEngine(env), newReady(env), newVersion(),
	)
	asUsage(root)
	return root
}

// asUsage makes wrong arguments a usage error, for c and all below it.
func asUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%w; want: %s (see %s --help)", err, cmd.UseLine(), cmd.CommandPath())
			}
			return nil
		}
	}
	for _, child := range c.Commands() {
		asUsage(child)
	}
}

// exitCode prints err for a person and says how the process ends.
func exitCode(err error, stderr io.Writer) int {
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return 3
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "rescind: interrupted")
		return 1
	case errors.As(err, &wrong):
		fmt.Fprintln(stderr, "rescind:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "rescind:", err)
		return 1
	}
}
