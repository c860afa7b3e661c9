package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/engine"
)

func newEngine(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "engine", Short: "Find or install the ClickHouse engine of dev, demo and tests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEngineStatus(env), newEngineInstall(env))
	return cmd
}

func newEngineStatus(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say which engine would be used", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := engine.Locate(cmd.Context(), env.getenv)
			if err != nil {
				return err
			}
			out := map[string]string{"kind": string(at.Kind), "path": at.Path, "version": at.Version, "source": at.Source}
			return show(cmd, out, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s, found through %s: %s\n", at.Kind, cmp.Or(at.Version, "(version unknown)"), at.Source, at.Path)
			})
		},
	}
}

func newEngineInstall(env environment) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "install", Short: "Fetch the engine with npm, unless it is there", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lib, err := engine.Install(cmd.Context(), engine.InstallConfig{Getenv: env.getenv, Force: force, Progress: progress(cmd)})
			if err != nil {
				return err
			}
			return show(cmd, lib, func(w io.Writer) {
				state := "is there"
				if lib.Fresh {
					state = "installed"
				}
				fmt.Fprintf(w, "engine %s %s: %s (%d MB)\n", lib.Version, state, lib.Path, lib.Size>>20)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "install again")
	return cmd
}

// progress prints lines about long work where a person can see them without
// disturbing a machine that reads standard output.
func progress(cmd *cobra.Command) func(string) {
	return func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
}
