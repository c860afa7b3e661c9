package store

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query/recipient"
)

// tokensFor are rows of tokens of one person, for n audiences, at most 32 each. Half of
// the audiences are there twice.
func tokensFor(t *testing.T, conn driver.Conn, n int, also ...string) events.Ref {
	t.Helper()
	person := events.Ref{1, 9}
	all := also
	for i := range n - len(also) {
		all = append(all, fmt.Sprintf("https://%06d.example", i))
	}
	var rows []eventrow.Row
	for aud := range slices.Chunk(append(all, all[:n/2]...), events.MaxAudiences) {
		r := history(1)[0]
		r.Index = uint64(len(rows))
		r.Record.SubjectRef, r.Record.Audience = person, aud
		rows = append(rows, r)
	}
	insert(t, conn, rows)
	return person
}

// last is an audience that is behind all others, and is told from what it is quoted in.
const last = `zz'\t"é-last`

// registry knows one recipient, for that audience.
func registry(t *testing.T) *recipient.Registry {
	t.Helper()
	g, err := recipient.Parse([]byte("recipients:\n  - {id: last, audiences: ["+strconv.Quote(last)+"], contact: letter}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestDisclosedToMany: every audience is found, up to the bound; beyond it every one that
// leads to a recipient, and it is said that there are others.
func TestDisclosedToMany(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 1000, 1001, 10_000, 10_001, 12_000} {
		conn := tables(t)
		person := tokensFor(t, conn, n, last)
		archive := &Archive{Store: New(conn), Recipients: registry(t)}
		d, err := archive.Disclosed(t.Context(), "acme", 0, person)
		if err != nil {
			t.Errorf("%d audiences: %v", n, err)
			continue
		}
		slices.Sort(d.Audiences)
		found := len(slices.Compact(d.Audiences))
		if found < min(n, maxDisclosed) || found > 2*maxDisclosed || d.More != (found < n) {
			t.Errorf("%d audiences: %d, more: %t", n, found, d.More)
		}
		ids, strangers := archive.Recipients.Of("acme", d)
		if !slices.Equal(ids, []string{"last"}) || slices.Contains(strangers, "more than are listed") != d.More {
			t.Errorf("%d audiences: %v are told; more: %t", n, ids, d.More)
		}
	}
}

// TestDisclosedToTooMany: who is not told of any recipients would find fewer.
func TestDisclosedToTooMany(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	person := tokensFor(t, conn, maxDisclosed+1)
	if d, err := (&Archive{Store: New(conn)}).Disclosed(t.Context(), "acme", 0, person); err == nil {
		t.Errorf("%d audiences of %d", len(d.Audiences), maxDisclosed+1)
	}
}
