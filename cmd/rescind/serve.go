package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/heap"
)

// notSettings are the RESCIND_ variables that are not part of the
// configuration of serve.
var notSettings = []string{"RESCIND_URL", "RESCIND_TOKEN", "RESCIND_DATA", "RESCIND_LIBCHDB"}

// addConfigFlags declares --config and a flag for every setting.
func addConfigFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "YAML file")
	config.AddFlags(cmd.Flags())
}

// loadConfig reads and validates the configuration.
func loadConfig(cmd *cobra.Command, env environment) (config.Config, error) {
	path, _ := cmd.Flags().GetString("config")
	cfg, err := config.Load(config.Source{File: path, Environ: env, Flags: cmd.Flags(), Ignore: notSettings})
	if err != nil {
		return cfg, usageError{err}
	}
	if err := cfg.Validate(); err != nil {
		return cfg, usage("the configuration has faults:\n%w", err)
	}
	return cfg, nil
}

func newServe(env environment) *cobra.Command {
	var validate bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Run against a NATS and a ClickHouse of yours", Args: cobra.NoArgs,
		Long: `Serve runs the roles intake, audit, revoke and api, or those that --roles names.
Settings come from flags, then RESCIND_* variables, then the --config file.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, env)
			if err != nil {
				return err
			}
			if validate {
				if err := app.Check(app.Config{Config: cfg, Getenv: env.getenv, Log: newLogger(cmd, cfg.Log)}); err != nil {
					return usage("what the configuration names has faults:\n%w", err)
				}
				return show(cmd, map[string]bool{"valid": true}, func(w io.Writer) { fmt.Fprintln(w, "the configuration is valid") })
			}
			defer heap.Keep(env.getenv, heap.Goal)()
			return app.Run(cmd.Context(), app.Config{Config: cfg, Getenv: env.getenv, Log: newLogger(cmd, cfg.Log)})
		},
	}
	addConfigFlags(cmd)
	cmd.Flags().BoolVar(&validate, "validate", false, "check the configuration and the files and secrets that it names, connect to nothing, and exit")
	return cmd
}

func newLogger(cmd *cobra.Command, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: l}))
}

func newMigrate(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring streams and tables up to date, and exit", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, env)
			if err != nil {
				return err
			}
			if err := app.Migrate(cmd.Context(), app.Config{Config: cfg, Getenv: env.getenv, Log: newLogger(cmd, cfg.Log)}); err != nil {
				return err
			}
			return show(cmd, map[string]bool{"migrated": true}, func(w io.Writer) { fmt.Fprintln(w, "streams and tables are up to date") })
		},
	}
	addConfigFlags(cmd)
	return cmd
}

// newReady is the health check of a container that has no other client in it.
func newReady(environment) *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use: "ready", Short: "Exit 0 if the API at --url is ready", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := http.Client{Timeout: 2 * time.Second}
			resp, err := c.Get(strings.TrimSuffix(url, "/") + "/readyz")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // the status alone is an answer
				return fmt.Errorf("not ready: %s %s", resp.Status, b)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:8080", "base URL of the API")
	return cmd
}
