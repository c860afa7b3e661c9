package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/query/receipt"
)

func newKeysReceipts(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "receipts", Short: "Print the public keys that receipts of erasures are verified with", Args: cobra.NoArgs,
		Long: `Receipts prints a set of public keys (RFC 7517), the oldest first. Keep it, and give it
to whoever gets receipts: with it they are verified when this deployment is gone.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := fetchReceiptKeys(cmd, env)
			if err != nil {
				return err
			}
			if _, err := receipt.ParseKeys(set); err != nil {
				return err
			}
			return printKeys(cmd, set)
		},
	}
	addDeploymentFlags(cmd)
	return cmd
}

func newKeysCallbacks(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "callbacks", Short: "Print the public keys that callbacks are signed with", Args: cobra.NoArgs,
		Long: `Callbacks prints a set of public keys (RFC 7517). Give it to recipients of personal data
before they get the first notice of an erasure: they verify notices with it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := fetchKeys(cmd, env, "/v1/keys/callbacks")
			if err != nil {
				return err
			}
			return printKeys(cmd, set)
		},
	}
	addDeploymentFlags(cmd)
	return cmd
}

func printKeys(cmd *cobra.Command, set []byte) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(json.RawMessage(set))
}

func fetchReceiptKeys(cmd *cobra.Command, env environment) ([]byte, error) {
	return fetchKeys(cmd, env, "/v1/keys/receipts")
}

// fetchKeys asks a deployment for public keys. It needs no token, and sends none.
func fetchKeys(cmd *cobra.Command, env environment, path string) ([]byte, error) {
	at, err := placeOf(cmd, env)
	if err != nil {
		return nil, err
	}
	base, err := at.base()
	if err != nil {
		return nil, err
	}
	var set json.RawMessage
	err = client.New(base, "").Call(cmd.Context(), "GET", path, nil, &set)
	return set, err
}
