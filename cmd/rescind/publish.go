package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
)

func newPublish(env environment) *cobra.Command {
	var name, tenant, source string
	var members []string
	cmd := &cobra.Command{
		Use:   "publish [FILE]",
		Short: "Publish events: CloudEvents from a file or standard input, or one made from flags",
		Long: `Publish sends CloudEvents to a running Rescind. FILE, or standard input where it
is "-", holds one event, a JSON array of them, or one a line. With --type one
event is made from flags instead.`,
		Example: `  rescind publish events.ndjson
  rescind publish --tenant acme --type token.issued --set iss=https://id.example --set sub=alice --set jti=t-1 --set alg=ES256 --set kid=k1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			batch, err := eventsFor(cmd, args, name, tenant, source, members)
			if err != nil {
				return err
			}
			return publishAll(cmd, env, batch)
		},
	}
	addClientFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&name, "type", "", "type of the one event to make, such as token.issued")
	f.StringVar(&tenant, "tenant", "", "tenant of the one event to make")
	f.StringVar(&source, "source", "rescind-cli", "source of the one event to make")
	f.StringArrayVar(&members, "set", nil, "member of its data, NAME=VALUE (repeatable)")
	return cmd
}

func eventsFor(cmd *cobra.Command, args []string, name, tenant, source string, members []string) ([]json.RawMessage, error) {
	switch {
	case name != "" && len(args) > 0:
		return nil, usage("publish: give a file or --type, not both")
	case name != "":
		return oneEvent(name, tenant, source, members)
	case len(args) == 0:
		return nil, usage("publish: give a file, - for standard input, or --type")
	}
	b, err := readInput(cmd, args[0])
	if err != nil {
		return nil, err
	}
	return splitEvents(b)
}

func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(path)
}

// splitEvents reads one event, an array, or one event a line.
func splitEvents(b []byte) ([]json.RawMessage, error) {
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '[' {
		var batch []json.RawMessage
		if err := json.Unmarshal(b, &batch); err != nil {
			return nil, usage("publish: the array cannot be read: %w", err)
		}
		return batch, nil
	}
	var out []json.RawMessage
	d := json.NewDecoder(bytes.NewReader(b))
	for {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, usage("publish: event %d is not JSON: %w", len(out)+1, err)
		}
		out = append(out, raw)
	}
	if len(out) == 0 {
		return nil, usage("publish: no event in the input")
	}
	return out, nil
}

// oneEvent makes an event from flags. A value is taken as JSON where the
// member is no text.
func oneEvent(name, tenant, source string, members []string) ([]json.RawMessage, error) {
	if tenant == "" {
		return nil, usage("publish: --type needs --tenant")
	}
	data := map[string]any{"tenant": tenant}
	for _, m := range members {
		k, v, ok := strings.Cut(m, "=")
		if !ok {
			return nil, usage("publish: --set %q: want NAME=VALUE", m)
		}
		data[k] = memberValue(k, v)
	}
	raw, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": uuid.Must(uuid.NewV7()).String(), "source": source,
		"type": string(events.TypeNamed(name)), "time": time.Now().UTC().Format(time.RFC3339Nano), "data": data,
	})
	return []json.RawMessage{raw}, err
}

func memberValue(name, value string) any {
	switch name {
	case "iat", "exp", "nbf", "issued_before", "starts", "not_after", "view", "attributes", "personal", "aud", "consent":
		if json.Valid([]byte(value)) {
			return json.RawMessage(value)
		}
	}
	return value
}

// publishBytes bounds one request, well under events.MaxMessageBytes.
const publishBytes = 512 << 10

func publishAll(cmd *cobra.Command, env environment, batch []json.RawMessage) error {
	c, err := newClient(cmd, env, "issuer")
	if err != nil {
		return err
	}
	total := client.Published{Refused: []events.Refusal{}}
	for len(batch) > 0 {
		n, body := takeBatch(batch)
		var got client.Published
		if err := c.Send(cmd.Context(), "POST", "/v1/events", events.ContentTypeBatch, body, &got); err != nil {
			return fmt.Errorf("after %d accepted: %w", total.Accepted, err)
		}
		total.Accepted += got.Accepted
		total.Refused = append(total.Refused, got.Refused...)
		batch = batch[n:]
	}
	if err := show(cmd, total, func(w io.Writer) { printPublished(w, total) }); err != nil {
		return err
	}
	if len(total.Refused) > 0 {
		return errNo
	}
	return nil
}

// takeBatch is the body of one request: as many events as fit, at least one.
func takeBatch(batch []json.RawMessage) (int, []byte) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	n, size := 0, 0
	w.WriteByte('[')
	for n < len(batch) && (n == 0 || size+len(batch[n]) < publishBytes) {
		if n > 0 {
			w.WriteByte(',')
		}
		w.Write(batch[n])
		size += len(batch[n])
		n++
	}
	w.WriteByte(']')
	w.Flush()
	return n, b.Bytes()
}

func printPublished(w io.Writer, p client.Published) {
	fmt.Fprintf(w, "accepted %d, refused %d\n", p.Accepted, len(p.Refused))
	if len(p.Refused) == 0 {
		return
	}
	rows := make([][]string, len(p.Refused))
	for i, r := range p.Refused {
		rows[i] = []string{r.ID, string(r.Reason), r.Detail}
	}
	table(w, []string{"ID", "REASON", "DETAIL"}, rows)
}
