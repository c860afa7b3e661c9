package forgotten

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/canary"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/verify"
)

// observe notes what there is of k at a moment: what opens, what is found in the
// folder, what the log holds, and how much of before is counted.
func (f *facts) observe(t *testing.T, s *dev.Stack, tell teller, k known, moment string) {
	t.Helper()
	trail, err := tell.trail(k, f.ref)
	if err != nil {
		t.Fatal(err)
	}
	if f.ref == "" {
		f.ref = trail.Events[0].SubjectRef
	}
	f.trail[moment], f.log[moment] = trail, messages(t, s)
	db := devtest.Database(t, s)
	var parts uint64
	err = db.QueryRow(t.Context(), "SELECT count() FROM payloads WHERE lower(hex(subject_ref)) = {ref:String}", clickhouse.Named("ref", f.ref)).Scan(&parts)
	if err != nil {
		t.Fatal(err)
	}
	f.parts[moment] = parts
	if f.hits[moment], err = canary.Scan(f.dir, k.values()...); err != nil {
		t.Fatal(err)
	}
	f.tally(t, s, moment)
}

// tally counts, by tenant, type, issuer and whether something is sealed, what the
// tables had at the first moment, and adds up what they said of it. Of what they
// had no batch of, the sealed parts may have been on their way.
func (f *facts) tally(t *testing.T, s *dev.Stack, moment string) {
	t.Helper()
	db := devtest.Database(t, s)
	if f.first == 0 {
		if err := db.QueryRow(t.Context(), "SELECT max(size) FROM batches").Scan(&f.first); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := db.Query(t.Context(), `SELECT concat(tenant, ' ', type, ' ', issuer, ' ', toString(notEmpty(p.sealed))), count(), groupBitXor(cityHash64(e.*, p.sealed))
		FROM events e LEFT JOIN payloads p USING (shard, index) WHERE index < {first:UInt64} GROUP BY 1 ORDER BY 1`, clickhouse.Named("first", fmt.Sprint(f.first)))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var of string
		var n, sum uint64
		if err := rows.Scan(&of, &n, &sum); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s: %d, %x", of, n, sum))
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	f.count[moment] = strings.Join(all, "\n")
}

// messages is a digest of each message of the log.
func messages(t *testing.T, s *dev.Stack) (out []string) {
	t.Helper()
	log, err := natsdtest.JetStream(t, s.NATS, natsd.Operator).Stream(t.Context(), stream.LogStream)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range log.CachedInfo().State.LastSeq {
		m, err := log.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(m.Data)
		out = append(out, m.Subject+" "+hex.EncodeToString(sum[:]))
	}
	return out
}

// verify has the whole log, the tables and the feed verified.
func (f *facts) verify(t *testing.T, forgotten string) {
	t.Helper()
	stores, err := app.OpenStores(f.deployment(t))
	if err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	reports, err := verify.Run(t.Context(), verify.Config{NATS: stores.NATS, ClickHouse: stores.ClickHouse, FeedKey: stores.FeedKey, Wait: devtest.Patience, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f.proof[forgotten] = reports[0]
}

// rebuild makes tables and feed anew, from the log.
func (f *facts) rebuild(t *testing.T) {
	t.Helper()
	if _, err := app.Rebuild(t.Context(), f.deployment(t), app.RebuildOptions{Tables: true, Feed: true, Progress: func(string) {}}); err != nil {
		t.Fatal(err)
	}
}

func (f *facts) deployment(t *testing.T) app.Config {
	t.Helper()
	cfg, err := dev.ConfigOf(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	return app.Config{Config: cfg, Log: slog.New(slog.DiscardHandler)}
}
