package dev_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/ledger"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

const (
	shards = 3
	issuer = "https://id.example"
	// Enough tenants that every shard has some: two each.
	tenantsEach = 2
)

func startShards(t *testing.T, dir string) *dev.Stack {
	t.Helper()
	return devtest.Start(t, dev.Options{Dir: dir, Shards: shards})
}

// tenants is two of each shard, those of shard 0 first.
func tenants() []string {
	by := make([][]string, shards)
	for i, found := 0, 0; found < shards*tenantsEach; i++ {
		name := fmt.Sprintf("tenant-%d", i)
		if k := events.ShardOf(name, shards); len(by[k]) < tenantsEach {
			by[k] = append(by[k], name)
			found++
		}
	}
	return slices.Concat(by...)
}

func tokenIssued(tenant, id, sub string) events.Event {
	now := time.Now()
	return events.Event{ID: id, Source: issuer, Type: events.TokenIssued, Tenant: tenant, Time: now, Data: events.Data{
		Issuer: issuer, Subject: sub, TokenID: id, Algorithm: "ES256", KeyID: "k1",
		IssuedAt: events.TimestampOf(now), Expires: events.TimestampOf(now.Add(time.Hour)),
	}}
}

// issue issues n tokens of alice in each tenant, and waits until each is found.
func issue(t *testing.T, s *dev.Stack, prefix string, n int) {
	t.Helper()
	var evs []events.Event
	for i := range n {
		for _, tenant := range tenants() {
			evs = append(evs, tokenIssued(tenant, fmt.Sprintf("%s-%d", prefix, i), "alice"), tokenIssued(tenant, fmt.Sprintf("%s-carol-%d", prefix, i), "carol"))
		}
	}
	devtest.Publish(t, s, evs)
	for _, tenant := range tenants() {
		devtest.Eventually(t, "the tokens of "+tenant, func() (bool, error) {
			got := 0
			for _, e := range search(t, s, tenant, nil) {
				if strings.HasPrefix(e.ID, prefix) {
					got++
				}
			}
			return got == n, nil
		})
	}
}

// search is every event of alice in a tenant, over as many pages as it takes.
func search(t *testing.T, s *dev.Stack, tenant string, more map[string]any) (out []client.Event) {
	t.Helper()
	in := map[string]any{"tenant": tenant, "issuer": issuer, "subject": "alice", "limit": 7}
	for k, v := range more {
		in[k] = v
	}
	for {
		var got client.Trail
		if err := client.New(s.File.HTTP, s.File.Tokens["officer"]).Call(t.Context(), "POST", "/v1/audit/search", in, &got); err != nil {
			t.Fatal(err)
		}
		if out = append(out, got.Events...); got.Next == "" {
			return out
		}
		in["cursor"] = got.Next
	}
}

// checkLogs reads the log of each shard: indices from 0 without a hole, a tree
// of its own, and nobody's tenants but its own.
func checkLogs(t *testing.T, s *dev.Stack) (sizes []uint64) {
	t.Helper()
	js, err := jetstream.New(natsdtest.Connect(t, s.NATS, natsd.Projector))
	if err != nil {
		t.Fatal(err)
	}
	for k := range uint16(shards) {
		log, err := stream.OpenLogOf(t.Context(), js, k)
		if err != nil {
			t.Fatal(err)
		}
		last, err := log.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tree := ledger.New()
		for seq := uint64(1); seq <= last.Seq; seq++ {
			m, err := log.Get(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			checkBatch(t, k, tree, m.Data)
		}
		sizes = append(sizes, tree.Size())
	}
	return sizes
}

func checkBatch(t *testing.T, shard uint16, tree *ledger.Tree, data []byte) {
	t.Helper()
	b, err := events.UnmarshalBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	if b.Header.Shard != shard || b.Header.First != tree.Size() {
		t.Errorf("log %d: batch of shard %d at %d, want %d", shard, b.Header.Shard, b.Header.First, tree.Size())
	}
	for _, item := range b.Items {
		r, err := events.UnmarshalRecord(item.Record)
		if err != nil {
			t.Fatal(err)
		}
		if events.ShardOf(r.Tenant, shards) != shard {
			t.Errorf("log %d holds a record of %s", shard, r.Tenant)
		}
		if tree.Size() == 0 && r.Type != events.SystemStarted {
			t.Errorf("log %d begins with %s", shard, r.Type)
		}
		tree.Append(events.LeafHash(item.Record))
	}
	if root := tree.Root(); !bytes.Equal(root[:], b.Header.Root[:]) {
		t.Errorf("log %d: another root at %d", shard, tree.Size())
	}
}

// checkRows holds ClickHouse to the logs.
func checkRows(t *testing.T, s *dev.Stack, sizes []uint64) {
	t.Helper()
	db := devtest.Database(t, s)
	for k, size := range sizes {
		devtest.Eventually(t, fmt.Sprintf("%d rows of shard %d", size, k), func() (bool, error) {
			var got standing
			err := db.QueryRow(t.Context(), "SELECT count(), uniqExact(tenant, source, id), min(index), max(index) + 1 FROM events WHERE shard = ?", uint16(k)).
				Scan(&got.rows, &got.ids, &got.first, &got.next)
			return got == standing{rows: size, ids: size, first: 0, next: size}, err
		})
	}
}

// TestShards takes tenants of every shard through all that there is for one,
// over a restart.
func TestShards(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startShards(t, dir)
	issue(t, s, "before", 10)
	view := follow(t, s)
	for _, tenant := range tenants() {
		revokeAndCheck(t, s, view, tenant, "before-0")
		seeByIndex(t, s, tenant)
	}
	for _, tenant := range []string{tenants()[0], tenants()[shards*tenantsEach-1]} {
		erase(t, s, tenant)
	}
	listRequests(t, s)
	sizes := checkLogs(t, s)
	checkRows(t, s, sizes)
	devtest.Stop(t, s)

	refusedWithAnotherNumber(t, dir)
	again := startShards(t, dir)
	issue(t, again, "after", 5)
	view = follow(t, again)
	for _, tenant := range tenants() {
		staysRevoked(t, view, claims(tenant, "before-0"))
		revokeAndCheck(t, again, view, tenant, "after-0")
	}
	now := checkLogs(t, again)
	for k := range now {
		if now[k] <= sizes[k] {
			t.Errorf("shard %d has %d records after the restart, %d before", k, now[k], sizes[k])
		}
	}
	checkRows(t, again, now)
}

func claims(tenant, jti string) revocation.Claims {
	return revocation.Claims{Tenant: tenant, Issuer: issuer, TokenID: jti, IssuedAt: events.TimestampOf(time.Now())}
}

// revokeAndCheck revokes a token of one tenant: the API and a verifier refuse
// it from the position that the API has named on, and nobody else's.
func revokeAndCheck(t *testing.T, s *dev.Stack, view *feed.Feed, tenant, jti string) {
	t.Helper()
	admin := client.New(s.File.HTTP, s.File.Tokens["admin"])
	in := map[string]string{"tenant": tenant, "scope": "token", "iss": issuer, "jti": jti, "reason": "logout"}
	var revoked client.Revoked
	if err := admin.Call(t.Context(), "POST", "/v1/revocations", in, &revoked); err != nil {
		t.Fatal(err)
	}
	if revoked.Position == 0 { // durable, and not on the log in time: it is told later
		devtest.Eventually(t, "the position of the revocation", func() (bool, error) {
			err := admin.Call(t.Context(), "GET", "/v1/revocations/"+revoked.ID+"?tenant="+tenant, nil, &revoked)
			return revoked.Position > 0, err
		})
	}
	devtest.Eventually(t, "the verifier is at the position", func() (bool, error) { return view.PositionOf(tenant) >= revoked.Position, nil })
	if d := view.Decide(claims(tenant, jti)); d.State != revocation.Revoked || d.Position < revoked.Position {
		t.Errorf("%s: the verifier says %+v, revoked at %d", tenant, d, revoked.Position)
	}
	devtest.Eventually(t, "the API refuses it", func() (bool, error) {
		var got client.Checked
		err := admin.Call(t.Context(), "POST", "/v1/check", map[string]any{"tenant": tenant, "claims": map[string]any{"iss": issuer, "jti": jti}}, &got)
		return got.Decision == "revoked" && got.Position >= revoked.Position, err
	})
	if d := view.Decide(claims("nobody-"+tenant, jti)); d.State == revocation.Revoked {
		t.Error("the token of another tenant is revoked")
	}
}

// seeByIndex finds each event again by its shard and index.
func seeByIndex(t *testing.T, s *dev.Stack, tenant string) {
	t.Helper()
	officer := client.New(s.File.HTTP, s.File.Tokens["officer"])
	for _, e := range search(t, s, tenant, nil) {
		if e.Shard != events.ShardOf(tenant, shards) {
			t.Errorf("%s: found in shard %d", tenant, e.Shard)
		}
		var got client.Event
		path := fmt.Sprintf("/v1/audit/events/%d?shard=%d", e.Index, e.Shard)
		if err := officer.Call(t.Context(), "GET", path, nil, &got); err != nil || got.ID != e.ID || got.Shard != e.Shard {
			t.Errorf("%s: %s is %s of shard %d, want %s, %v", tenant, path, got.ID, got.Shard, e.ID, err)
		}
	}
	opened := search(t, s, tenant, map[string]any{"open": true, "purpose": "a test"})
	if len(opened) == 0 || opened[0].Personal["sub"] != "alice" {
		t.Errorf("%s: opened %+v", tenant, opened)
	}
}

// erase has carol forgotten in one tenant.
func erase(t *testing.T, s *dev.Stack, tenant string) {
	t.Helper()
	if r := devtest.Forget(t, s, tenant, issuer, "carol"); r.Outcome != "erased" {
		t.Errorf("%s: the outcome is %q", tenant, r.Outcome)
	}
	var got client.Trail
	err := client.New(s.File.HTTP, s.File.Tokens["officer"]).Call(t.Context(), "POST", "/v1/audit/search", map[string]any{"tenant": tenant, "issuer": issuer, "subject": "carol"}, &got)
	if err != nil || got.SubjectState != "erased" {
		t.Errorf("%s: carol is %q after the erasure, %v", tenant, got.SubjectState, err)
	}
}

// listRequests lists those of all tenants, one a page: each once.
func listRequests(t *testing.T, s *dev.Stack) {
	t.Helper()
	seen := map[string]bool{}
	for path := "/v1/requests?limit=1"; path != ""; {
		var got struct {
			Requests []client.Request `json:"requests"`
			Next     string           `json:"next"`
		}
		if err := client.New(s.File.HTTP, s.File.Tokens["handler"]).Call(t.Context(), "GET", path, nil, &got); err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Requests {
			if seen[r.Tenant] {
				t.Errorf("the request of %s is listed twice", r.Tenant)
			}
			seen[r.Tenant] = true
		}
		if path = ""; got.Next != "" {
			path = "/v1/requests?limit=1&cursor=" + got.Next
		}
	}
	if len(seen) != 2 {
		t.Errorf("listed the requests of %v, want two", seen)
	}
}

// refusedWithAnotherNumber starts the folder with another number of shards.
func refusedWithAnotherNumber(t *testing.T, dir string) {
	t.Helper()
	for _, n := range []int{1, 2, 4} {
		s, err := dev.Start(t.Context(), dev.Options{Dir: dir, Shards: n})
		if err == nil {
			devtest.Stop(t, s)
		}
		if !errors.Is(err, stream.ErrShards) || !strings.Contains(err.Error(), "Set shards: 3") {
			t.Errorf("started with %d shards: %v", n, err)
		}
	}
}
