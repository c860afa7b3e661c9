package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/deployment"
)

func newKeys(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Make the keys of a deployment, and show how old the keyring's are", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysInit(), newKeysEpochs(env), newKeysReceipts(env), newKeysCallbacks(env))
	return cmd
}

func newKeysInit() *cobra.Command {
	var dir, natsDir, clickhouseDir string
	var shards int
	cmd := &cobra.Command{
		Use: "init", Short: "Make every key and password that is not there yet",
		Long: `Init makes, in one folder, the folder of the keyring's root, the feed's and the API's
signing keys, NATS credentials of each role and ClickHouse passwords; and, where
asked to, the server configurations that know them. What is there is kept.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			made, err := deployment.Init(deployment.Config{Secrets: dir, NATS: natsDir, ClickHouse: clickhouseDir, Shards: shards, Database: "rescind"})
			if err != nil {
				return err
			}
			return show(cmd, made, func(w io.Writer) {
				fmt.Fprintf(w, "keys and passwords: %s\nfeed key for verifiers: %s\n", made.Secrets, made.FeedKey)
				fmt.Fprintf(w, "keep %s apart from backups of NATS: whoever has both can read everything\n", filepath.Join(made.Secrets, "root"))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "secrets", "", "folder for keys and passwords")
	_ = cmd.MarkFlagRequired("secrets")
	f.StringVar(&natsDir, "nats", "", "folder for nats.conf, none if empty")
	f.IntVar(&shards, "shards", 1, "logs that tenants are split over, as in the configuration of serve")
	f.StringVar(&clickhouseDir, "clickhouse", "", "folder for ClickHouse's users file, none if empty")
	return cmd
}
