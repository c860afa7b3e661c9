package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Client calls the API at Base with a bearer token.
type Client struct {
	Base  string // http://host:port
	Token string // access token
	HTTP  *http.Client
	// Header is sent with each request, beside what the client sets.
	Header http.Header
}

// New makes a client that gives up on a request after a minute.
func New(base, token string) *Client {
	return &Client{Base: strings.TrimSuffix(base, "/"), Token: token, HTTP: &http.Client{Timeout: time.Minute}}
}

// Problem is an answer of RFC 9457.
type Problem struct {
	Type   string `json:"type"` // stable name of the kind
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Member string `json:"member"` // of the body, where one is meant
}

// Error is the problem in one line.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	if p.Member == "" {
		return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
	}
	return fmt.Sprintf("%d %s: %s: %s", p.Status, p.Title, p.Member, p.Detail)
}

// Call sends in as JSON, unless it is nil, and reads the answer into out.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = b
	}
	return c.Send(ctx, method, path, "application/json", body, out)
}

// Send is Call for a body that is made already.
func (c *Client) Send(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	return c.do(ctx, c.HTTP, method, path, contentType, in, out)
}

// Upload posts a body that is read as it is sent, for as long as that takes.
func (c *Client) Upload(ctx context.Context, path, contentType string, body io.Reader, out any) error {
	return c.do(ctx, &http.Client{Transport: c.HTTP.Transport}, http.MethodPost, path, contentType, body, out)
}

// Fetch writes what a link leads to, for as long as that takes, and is how many
// bytes that were. It sends no token: a link needs none. Less than was announced
// is an error.
func (c *Client) Fetch(ctx context.Context, link string, to io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+link, nil)
	if err != nil {
		return 0, errors.New("fetch: not a link")
	}
	resp, err := (&http.Client{Transport: c.HTTP.Transport}).Do(req)
	if err != nil {
		return 0, fmt.Errorf("fetch: %w", errors.Unwrap(err)) // the rest names the link
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return 0, fmt.Errorf("fetch: %w", readProblem(resp, b))
	}
	n, err := io.Copy(to, resp.Body)
	if err == nil && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("fetch: after %d of %d bytes: %w", n, resp.ContentLength, err)
	}
	return n, nil
}

func (c *Client) do(ctx context.Context, web *http.Client, method, path, contentType string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	maps.Copy(req.Header, c.Header)
	req.Header.Set("Authorization", "Bearer "+c.Token)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := web.Do(req)
	if err != nil {
		return fmt.Errorf("%w: is Rescind running at %s?", err, c.Base)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	case resp.StatusCode >= 400:
		return fmt.Errorf("%s %s: %w", method, path, readProblem(resp, b))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not JSON: %w", method, path, err)
	}
	return nil
}

func readProblem(resp *http.Response, b []byte) *Problem {
	p := &Problem{}
	_ = json.Unmarshal(b, p) // an answer that is no problem document still has a status
	p.Status = resp.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	return p
}
