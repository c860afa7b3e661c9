package dev_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// testPreferWait revokes and is answered when two verifiers refuse the token.
func testPreferWait(t *testing.T, s *dev.Stack) {
	public, err := s.Keys.FeedPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	var all []*feed.Feed
	for n := range 2 {
		nc, err := s.NATS.Connect(natsd.Verifier)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		f := feed.New(feed.Config{Conn: nc, PublicKey: public, Name: fmt.Sprintf("orders-%d", n)})
		feedtest.Go(t, f.Run)
		all = append(all, f)
	}
	admin := client.New(s.File.HTTP, s.File.Tokens["admin"])
	devtest.Eventually(t, "two verifiers", func() (bool, error) {
		var got client.Verifiers
		err := admin.Call(t.Context(), "GET", "/v1/verifiers", nil, &got)
		return got.Of == 2 && got.Fresh == 2, err
	})
	admin.Header = http.Header{"Prefer": {"respond-async, wait=30"}}
	for n := range 10 {
		jti := fmt.Sprintf("waited-for-%d", n)
		var got client.Revocation
		in := map[string]string{"tenant": "acme", "scope": "token", "iss": "https://id.example", "jti": jti, "reason": "logout"}
		if err := admin.Call(t.Context(), "POST", "/v1/revocations", in, &got); err != nil {
			t.Fatal(err)
		}
		if got.Enforced == nil || got.Enforced.Of != 2 || got.Enforced.At != 2 || got.Enforced.SlowestMS == nil {
			t.Fatalf("%+v", got.Enforced)
		}
		for i, f := range all {
			d := f.Decide(revocation.Claims{Tenant: "acme", Issuer: "https://id.example", TokenID: jti})
			if d.State != revocation.Revoked || d.Position < got.Position {
				t.Errorf("verifier %d, when it is said to be enforced: %+v", i, d)
			}
		}
		var later client.Revocation
		if err := admin.Call(t.Context(), "GET", "/v1/revocations/"+got.ID, nil, &later); err != nil {
			t.Fatal(err)
		}
		if !later.Enforced.Done() || len(later.Enforced.Verifiers) != 2 || *later.Enforced.SlowestMS != *got.Enforced.SlowestMS {
			t.Errorf("%+v", later.Enforced)
		}
		t.Logf("the slowest after %d ms", *got.Enforced.SlowestMS)
	}
}
