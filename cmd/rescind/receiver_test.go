package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/query/callback"
)

// startReceiver starts a recipient of the audience crm, as its author would write
// it, and writes the registry that names it and one of paper, whom a person has
// to tell. What it is sent it verifies by the keys that the stack publishes.
func startReceiver(ts *testscript.TestScript, _ bool, args []string) {
	now := time.Now()
	private, err := envelope.Generate(now, now.Add(time.Hour))
	ts.Check(err)
	set, err := json.Marshal(envelope.Set{Keys: []envelope.PublicKey{private.PublicKey}, Now: now})
	ts.Check(err)
	var jwks struct{ Keys []struct{ X, Y string } }
	ts.Check(json.Unmarshal(set, &jwks))
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := receive(r, server.URL+"/rescind", private, ts.MkAbs("data/dev.json")); err != nil {
			ts.Logf("receiver: %v", err)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	ts.Defer(server.Close)
	registry := fmt.Sprintf(`own: [own]
recipients:
  - id: crm
    audiences: [crm]
    url: %s/rescind
    key: {kty: EC, crv: P-256, x: %s, y: %s}
  - {id: paper, audiences: [paper], contact: privacy@paper.example}
`, server.URL, jwks.Keys[0].X, jwks.Keys[0].Y)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(registry), 0o600))
}

// receive verifies and opens a message.
func receive(r *http.Request, url string, private envelope.PrivateKey, stack string) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, callback.MaxBody))
	if err != nil {
		return err
	}
	keys, err := publishedKeys(stack)
	if err != nil {
		return err
	}
	if _, err := callback.Verify(r.Header, url, body, keys, time.Now()); err != nil {
		return err
	}
	m, err := envelope.Parse(body)
	if err == nil {
		_, err = m.Open(private)
	}
	return err
}

// publishedKeys is what GET /v1/keys/callbacks says.
func publishedKeys(stack string) (map[string]ed25519.PublicKey, error) {
	var f struct{ HTTP string }
	var jwks struct{ Keys []struct{ Kid, X string } }
	b, err := os.ReadFile(stack)
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return nil, err
	}
	resp, err := http.Get(f.HTTP + "/v1/keys/callbacks")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&jwks); err != nil {
		return nil, err
	}
	out := map[string]ed25519.PublicKey{}
	for _, k := range jwks.Keys {
		if out[k.Kid], err = base64.RawURLEncoding.DecodeString(k.X); err != nil {
			return nil, err
		}
	}
	return out, nil
}
