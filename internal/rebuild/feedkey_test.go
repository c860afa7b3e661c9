package rebuild_test

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootdir"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
)

// keyring is the deployment's, at a time from now.
func (b *bench) keyring(away time.Duration) *seal.Keyring {
	b.t.Helper()
	root, err := rootdir.Open(b.Keys.Root())
	if err != nil {
		b.t.Fatal(err)
	}
	store, err := stream.OpenKeyStore(b.t.Context(), b.js(natsd.Projector))
	if err != nil {
		b.t.Fatal(err)
	}
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: root, Now: func() time.Time { return time.Now().Add(away) }})
	if err != nil {
		b.t.Fatal(err)
	}
	return k
}

// destroyFeedKey destroys the feed key that a tenant has revoked under.
func (b *bench) destroyFeedKey(tenant string) {
	b.t.Helper()
	later := b.keyring(2 * seal.FeedKeyAhead)
	of, err := later.LookupTenant(b.t.Context(), tenant)
	if err != nil {
		b.t.Fatal(err)
	}
	first := of.FeedKey().Generation
	if _, err := later.RotateFeedKey(b.t.Context(), tenant, first, time.Now()); err != nil {
		b.t.Fatal(err)
	}
	if err := later.DestroyFeedKey(b.t.Context(), tenant, first); err != nil {
		b.t.Fatal(err)
	}
}

// TestWithoutAFeedKey: rebuild and verify hash nothing. What has expired is as good as
// gone, and what lives leaves its tenant unknown, as before.
func TestWithoutAFeedKey(t *testing.T) {
	t.Parallel()
	b := start(t)
	now := time.Now()
	devtest.Publish(t, b.Stack, []events.Event{{
		ID: "expired", Source: "test", Type: events.TokenRevoked, Time: now, Tenant: "acme", Environment: "dev",
		Data: events.Data{Issuer: workload.Issuer, TokenID: "t-1", Reason: "test", Expires: events.TimestampOf(now.Add(-72 * time.Hour))},
	}})
	b.revokeOf("globex", "t-1")
	b.revokeOf("initech", "t-1")
	b.clean()
	b.destroyFeedKey("acme")
	b.destroyFeedKey("globex")
	same := func() {
		t.Helper()
		view := b.follow()
		b.seesOf("acme", view, "t-1", revocation.Active)
		b.seesOf("initech", view, "t-1", revocation.Revoked)
		b.seesOf("globex", view, "t-1", revocation.Unknown)
		b.clean()
	}
	same()
	if err := b.feed(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	same()
	if _, err := b.tables(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	same()
}
