package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

func newRequestExport(env environment) *cobra.Command {
	var to, output string
	cmd := &cobra.Command{
		Use: "export ID", Short: "Make a link to what an access or portability was answered with, and fetch it with -o", Args: cobra.ExactArgs(1),
		Long: "Make a link to what an access or portability was answered with. The link and its passphrase are shown this once, and end\n" +
			"those before. Send the two to the data subject on different ways: `age -d FILE` opens the file with the passphrase.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd, env, "handler")
			if err != nil {
				return err
			}
			in := map[string]string{}
			if to != "" {
				in["to"] = to
			}
			var out client.ExportLink
			if err := c.Call(cmd.Context(), "POST", "/v1/requests/"+url.PathEscape(args[0])+"/export", in, &out); err != nil {
				return err
			}
			if output != "" {
				if err := fetchExport(cmd, c, out.Link, output); err != nil {
					return err
				}
			}
			return show(cmd, out, func(w io.Writer) { printExport(w, c, &out, output) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "age public `key` of the data subject; without it, a passphrase is made")
	f.StringVarP(&output, "output", "o", "", "`file` to fetch it into")
	return cmd
}

// fetchExport puts what the link leads to into a file, whole or not at all.
func fetchExport(cmd *cobra.Command, c *client.Client, link, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".export-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = c.Fetch(cmd.Context(), link, f)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func printExport(w io.Writer, c *client.Client, out *client.ExportLink, path string) {
	rows := [][]string{{"link", c.Base + out.Link}, {"until", clock(out.Until)}, {"bytes", fmt.Sprint(out.Bytes)}}
	if out.Passphrase != "" {
		rows = append(rows, []string{"passphrase", out.Passphrase})
	}
	if path != "" {
		rows = append(rows, []string{"file", path})
	}
	table(w, rows[0], rows[1:])
}
