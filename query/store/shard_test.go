package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
)

// Two shards count from 0 each: what is asked of one is not answered from the
// other.
func TestEveryQuestionIsPutToOneShard(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	for shard := range uint16(2) {
		rows := make([]eventrow.Row, 3)
		for i := range rows {
			rows[i] = eventrow.Row{Shard: shard, Index: uint64(i), Record: events.Record{
				Version: 1, Tenant: "acme", ID: string(rune('a' + shard)), Issuer: "https://" + string(rune('a'+shard)) + ".example",
				Type: events.FindingOpened, Attributes: map[string]string{"finding": string(rune('a' + shard))},
			}}
		}
		insert(t, conn, rows)
		if err := conn.Exec(t.Context(), "INSERT INTO batches (shard, first, count) VALUES (?, 0, 3)", shard); err != nil {
			t.Fatal(err)
		}
		if err := conn.Exec(t.Context(), "INSERT INTO payloads (shard, `index`, tenant, sealed) VALUES (?, 2, 'acme', ?)", shard, string(rune('a'+shard))); err != nil {
			t.Fatal(err)
		}
	}
	s := New(conn)
	for shard, want := range []string{"a", "b"} {
		k := uint16(shard)
		if row, err := s.Event(t.Context(), "acme", k, 1); err != nil || row.Record.ID != want || row.Shard != k {
			t.Errorf("event of shard %d: %q of %d, %v", k, row.Record.ID, row.Shard, err)
		}
		if got, err := s.Issuers(t.Context(), "acme", k, 9); err != nil || !cmp.Equal(got, []string{"https://" + want + ".example"}) {
			t.Errorf("issuers of shard %d: %v, %v", k, got, err)
		}
		if got, err := s.Sealed(t.Context(), "acme", k, []uint64{2}, nil); err != nil || string(got[2]) != want {
			t.Errorf("sealed parts of shard %d: %v, %v", k, got, err)
		}
		got, err := s.Findings(t.Context(), query.FindingSearch{Tenant: "acme", Shard: k})
		if err != nil || len(got) != 1 || got[0].ID != want || got[0].Shard != k {
			t.Errorf("findings of shard %d: %+v, %v", k, got, err)
		}
	}
	if _, err := s.Event(t.Context(), "acme", 2, 1); !errors.Is(err, query.ErrNotFound) {
		t.Errorf("event of a shard that is not there: %v", err)
	}
}
