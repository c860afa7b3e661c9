package main

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/app"
)

func newKeysEpochs(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "epochs", Short: "Show the epochs of the keyring, and from when old copies of it open nothing", Args: cobra.NoArgs,
		Long: `Epochs shows each epoch of the keyring: its age, how many entries are still
wrapped in it, and from when a copy of the keyring that was made in it can be
read by nobody. It changes nothing. The last line is what holds for whoever is
forgotten now.

It finds the stores of a running rescind dev by --data, or those of rescind
serve by the same --config, RESCIND_* variables and flags.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := storeConfig(cmd, env, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			k, err := app.KeyringEpochs(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return show(cmd, k, func(w io.Writer) { showEpochs(w, k, time.Now()) })
		},
	}
	addStoreFlags(cmd)
	return cmd
}

func showEpochs(w io.Writer, k app.KeyringStatus, now time.Time) {
	var rows [][]string
	for _, e := range k.Epochs {
		rows = append(rows, []string{
			strconv.FormatUint(uint64(e.Number), 10), now.Sub(e.Created).Truncate(time.Second).String(), e.State, entries(e), unreadable(e),
		})
	}
	table(w, []string{"EPOCH", "AGE", "STATE", "ENTRIES", "UNREADABLE FROM"}, rows)
	switch {
	case len(k.Epochs) == 0:
		fmt.Fprintln(w, "nothing is in the keyring")
	case k.Overdue:
		fmt.Fprintln(w, "the key of an epoch is there although it was planned to be gone: nobody can say from when a copy of the keyring that is made now opens nothing; look for findings keyring-tampered, and whether a projector runs")
	case k.Residue == nil:
		fmt.Fprintln(w, "the root cannot destroy keys: a copy of the keyring that is made now can be read for ever")
	default:
		fmt.Fprintf(w, "a copy of the keyring that is made now can be read by nobody from %s\n", k.Residue.Format(time.RFC3339))
	}
}

// entries is how many are left. Of the current epoch they are not counted.
func entries(e app.EpochStatus) string {
	if e.State == app.EpochCurrent {
		return "-"
	}
	return strconv.Itoa(e.Entries)
}

func unreadable(e app.EpochStatus) string {
	switch {
	case e.Gone != nil:
		return e.Gone.Format(time.RFC3339)
	case e.Planned != nil:
		return e.Planned.Format(time.RFC3339) + " (planned)"
	}
	return "never"
}
