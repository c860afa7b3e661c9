package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/dev"
)

// client calls the API of a running Rescind.
type client struct {
	base  string
	token string
	http  *http.Client
}

// addClientFlags declares how a command finds the API.
func addClientFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.String("url", "", "base URL of the API (RESCIND_URL)")
	f.String("data", "", "folder of a running `rescind dev`, for its URL and tokens (RESCIND_DATA, default .rescind)")
	f.String("as", "", "which token of rescind dev to use: admin, officer, handler, approver, issuer, verifier")
}

// newClient finds the API: --url and RESCIND_TOKEN, or the dev.json of a
// running `rescind dev`. role is the token to use from it.
func newClient(cmd *cobra.Command, env environment, role string) (*client, error) {
	flag := func(name string) string { s, _ := cmd.Flags().GetString(name); return s }
	c := &client{base: first(flag("url"), env.getenv("RESCIND_URL")), token: env.getenv("RESCIND_TOKEN"), http: &http.Client{Timeout: time.Minute}}
	if c.base != "" {
		if c.token == "" {
			return nil, usage("%s: --url needs the access token in RESCIND_TOKEN", cmd.CommandPath())
		}
		return c, nil
	}
	dir := first(flag("data"), env.getenv("RESCIND_DATA"), ".rescind")
	d, err := dev.ReadFile(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("no running Rescind: no dev.json in %s; start `rescind dev --data %s`, or give --url and RESCIND_TOKEN", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	c.base = d.HTTP
	c.token = first(c.token, d.Tokens[first(flag("as"), role)])
	if c.token == "" {
		return nil, usage("no token named %q in %s/dev.json", first(flag("as"), role), dir)
	}
	return c, nil
}

func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// problem is an answer of RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
}

// call sends in as JSON and reads the answer into out.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if in == nil {
		body = nil
	}
	return c.send(ctx, method, path, "application/json", body, out)
}

func (c *client) send(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: is Rescind running at %s?", err, c.base)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if resp.StatusCode >= 400 {
		p := &problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
		_ = json.Unmarshal(b, p) // an answer that is no problem document still has a status
		return fmt.Errorf("%s %s: %w", method, path, p)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not JSON: %w", method, path, err)
	}
	return nil
}
