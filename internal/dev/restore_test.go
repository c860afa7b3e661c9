package dev_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/query/erasure/gate"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
)

const restoredIssuer = "https://id.restore"

// restored is a folder that is put back to what it was before an erasure.
type restored struct {
	t      *testing.T
	dir    string
	key    *ecdsa.PrivateKey
	tokens map[string]string // of each subject, issued before anything
}

func (r *restored) issue(subject string) events.Event {
	r.t.Helper()
	now := time.Now().Add(-time.Minute)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": restoredIssuer, "aud": "orders", "sub": subject, "jti": "jti-" + subject, "client_id": "app", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	token.Header["typ"], token.Header["kid"] = "at+jwt", "k"
	raw, err := token.SignedString(r.key)
	r.check(err)
	r.tokens[subject] = raw
	return events.Event{ID: "issued-" + subject, Source: restoredIssuer, Type: events.TokenIssued, Time: now, Tenant: "acme", Data: events.Data{
		Issuer: restoredIssuer, Subject: subject, TokenID: "jti-" + subject, ClientID: "app", Algorithm: "ES256", KeyID: "k",
		IssuedAt: events.TimestampOf(now), Expires: events.TimestampOf(now.Add(time.Hour)),
	}}
}

func (r *restored) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// opened is whether what was published about a subject opens, by event.
func (r *restored) opened(s *dev.Stack) map[string]bool {
	r.t.Helper()
	out := map[string]bool{}
	devtest.Eventually(r.t, "both events", func() (bool, error) {
		var got client.Trail
		err := client.New(s.File.HTTP, s.File.Tokens["officer"]).Call(r.t.Context(), "POST", "/v1/audit/search",
			map[string]any{"tenant": "acme", "type": "token.issued", "open": true, "purpose": "test"}, &got)
		for _, e := range got.Events {
			out[strings.TrimPrefix(e.ID, "issued-")] = e.Personal["sub"] != nil
		}
		return len(out) == 2, err
	})
	return out
}

// decisions is what a strict and a best-effort verifier say of the token of a
// subject, once their view is in the state that is wanted.
func (r *restored) decisions(s *dev.Stack, subject string, want revocation.State) (out []error) {
	r.t.Helper()
	view := follow(r.t, s)
	g, err := guard.New(guard.Config{
		Issuer: restoredIssuer, Audience: []string{"orders"}, Keys: guard.StaticKeys{{ID: "k", Algorithm: "ES256", Public: r.key.Public()}}, Feed: view, Tenant: "acme",
	})
	r.check(err)
	devtest.Eventually(r.t, "a view in which "+subject+" is "+string(want), func() (bool, error) {
		d := view.Decide(revocation.Claims{Tenant: "acme", Issuer: restoredIssuer, TokenID: "jti-" + subject, Subject: subject, IssuedAt: events.TimestampOf(time.Now().Add(-time.Minute))})
		return d.State == want, nil
	})
	for _, p := range []guard.Policy{guard.Strict, guard.BestEffort} {
		_, err := g.With(p).Check(r.t.Context(), r.tokens[subject])
		out = append(out, err)
	}
	return out
}

// wantForgotten: alice is, bob is not; in what opens, and at verifiers.
func (r *restored) wantForgotten(when string, s *dev.Stack) {
	r.t.Helper()
	if opened := r.opened(s); opened["alice"] || !opened["bob"] {
		r.t.Errorf("%s: what opens: %v", when, opened)
	}
	for i, err := range r.decisions(s, "alice", revocation.Revoked) {
		var refusal *guard.Refusal
		if !errors.As(err, &refusal) || refusal.Status() != 401 {
			r.t.Errorf("%s: the token of who was forgotten, policy %d: %v", when, i, err)
		}
	}
	for i, err := range r.decisions(s, "bob", revocation.Active) {
		if err != nil {
			r.t.Errorf("%s: the token of another, policy %d: %v", when, i, err)
		}
	}
}

// said counts findings of a control.
func (r *restored) said(s *dev.Stack, control string) (n int) {
	r.t.Helper()
	var got struct{ Findings []client.Finding }
	r.check(client.New(s.File.HTTP, s.File.Tokens["officer"]).Call(r.t.Context(), "GET", "/v1/findings?limit=100", nil, &got))
	for _, f := range got.Findings {
		if f.Control == control {
			n++
		}
	}
	return n
}

// reapplied counts the people of whom the log says that they were forgotten
// again.
func (r *restored) reapplied(s *dev.Stack) (n int) {
	r.t.Helper()
	var got client.Trail
	r.check(client.New(s.File.HTTP, s.File.Tokens["officer"]).Call(r.t.Context(), "POST", "/v1/audit/search",
		map[string]any{"tenant": "acme", "type": "request.reapplied"}, &got))
	return len(got.Events)
}

func (r *restored) copyTo(to, from string) {
	r.t.Helper()
	r.check(os.RemoveAll(to))
	r.check(os.CopyFS(to, os.DirFS(from)))
	r.check(filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error { // CopyFS gives others leave to read
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		return errors.Join(err, os.Chmod(filepath.Join(to, inside), info.Mode().Perm()))
	}))
}

// keyring is the folder of the keyring's stream.
func (r *restored) keyring(dir string) string {
	r.t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "nats", "*", "*", "*", "streams", "RESCIND_KEYRING"))
	if err != nil || len(found) != 1 {
		r.check(fmt.Errorf("the keyring's folder: %v, %w", found, err))
	}
	return found[0]
}

// TestE04Restore copies the folder of a deployment, has a person
// exported and forgotten, and puts back first the keyring of the copy and then all of it, log
// included. Nothing of the person opens, and their token is refused, before and
// after each start. It takes four starts, which is what it is about.
func TestE04Restore(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r := &restored{t: t, dir: filepath.Join(t.TempDir(), "data"), key: key, tokens: map[string]string{}}
	r.check(err)
	s := start(t, r.dir)
	devtest.Publish(t, s, []events.Event{r.issue("alice"), r.issue("bob")})
	if opened := r.opened(s); !opened["alice"] || !opened["bob"] {
		t.Fatalf("before: %v", opened)
	}
	devtest.Export(t, s, "acme", restoredIssuer, "alice")
	devtest.Stop(t, s)
	backup := filepath.Join(t.TempDir(), "backup")
	r.copyTo(backup, r.dir)

	s = start(t, r.dir)
	devtest.Forget(t, s, "acme", restoredIssuer, "alice")
	r.wantForgotten("erased", s)
	devtest.Stop(t, s)

	r.copyTo(r.keyring(r.dir), r.keyring(backup))
	s = start(t, r.dir)
	r.wantForgotten("keyring restored", s)
	devtest.Eventually(t, "a record of it", func() (bool, error) {
		return r.said(s, gate.ControlReturned) == 1 && r.said(s, gate.ControlRestored) == 0 && r.reapplied(s) == 1, nil
	})
	devtest.Stop(t, s)

	r.copyTo(r.dir, backup)
	s = start(t, r.dir)
	r.wantForgotten("all restored", s)
	devtest.Eventually(t, "a record of it, of the export that is back, and that the log was restored", func() (bool, error) {
		return r.said(s, gate.ControlReturned) == 2 && r.said(s, gate.ControlRestored) == 1 && r.reapplied(s) == 1, nil
	})
}
