package forgotten

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/guard"
)

// held is the tokens that somebody holds, and the key that they are checked with.
type held struct {
	key    *ecdsa.PrivateKey
	tokens []string
}

// issue signs two tokens for k: one that we were told of, and one that nobody
// mentioned.
func issue(t *testing.T, k known) held {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := held{key: key}
	for _, jti := range []string{k.jti, "never-mentioned"} {
		now := time.Now()
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": issuer, "sub": k.subject, "aud": "orders", "client_id": "shop", "jti": jti, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		})
		token.Header["typ"], token.Header["kid"] = "at+jwt", "k-1"
		raw, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		h.tokens = append(h.tokens, raw)
	}
	return h
}

// verifier is a strict and a best-effort application, with a view of their own
// whose snapshots are kept in dir.
func (h held) verifier(t *testing.T, s *dev.Stack, dir string) map[string]*guard.Guard {
	t.Helper()
	public, err := s.Keys.FeedPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	view := feed.New(feed.Config{
		Conn: natsdtest.Connect(t, s.NATS, natsd.Verifier), PublicKey: public, Name: "orders", Dir: filepath.Join(dir, "verifier"), SaveEvery: 100 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = view.Run(ctx) }() // ends with ctx; a broken feed is seen as a wrong answer
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-view.Ready():
	case <-time.After(devtest.Patience):
		t.Fatal("the feed is not ready")
	}
	strict, err := guard.New(guard.Config{
		Issuer: issuer, Audience: []string{"orders"}, Tenant: acme, Feed: view,
		Keys: guard.StaticKeys{{ID: "k-1", Algorithm: "ES256", Public: &h.key.PublicKey}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*guard.Guard{"strict": strict, "best_effort": strict.With(guard.BestEffort)}
}

// refusals is why each guard refuses each token, once a strict one says of both what
// it should: whether the tokens of somebody who is forgotten are refused at once is
// what the guards are asked first.
func (h held) refusals(t *testing.T, guards map[string]*guard.Guard, want ...guard.Reason) (out map[string][]guard.Reason) {
	t.Helper()
	devtest.Eventually(t, "verifiers that know", func() (bool, error) {
		out = h.asked(t, guards)
		return slices.Equal(out["strict"], want) && slices.Equal(out["best_effort"], want), nil
	})
	return out
}

func (h held) asked(t *testing.T, guards map[string]*guard.Guard) map[string][]guard.Reason {
	out := map[string][]guard.Reason{}
	for policy, g := range guards {
		for _, raw := range h.tokens {
			_, err := g.Check(t.Context(), raw)
			refusal, _ := errors.AsType[*guard.Refusal](err)
			if refusal == nil {
				refusal = &guard.Refusal{}
			}
			out[policy] = append(out[policy], refusal.Reason)
		}
	}
	return out
}
