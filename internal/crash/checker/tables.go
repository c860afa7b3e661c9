package checker

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// The queries read every row, as nothing else would show one too many.
const (
	readEvents = "SELECT `index`, tenant, source, id, type, toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received), issuer," +
		" subject_ref, token_ref, outcome, reason, payload_hash FROM events WHERE shard = 0 ORDER BY `index`"
	readPayloads = "SELECT `index`, SHA256(sealed) FROM payloads WHERE shard = 0 ORDER BY `index`"
	readBatches  = "SELECT seq, first, epoch, size, count, lane, toUnixTimestamp64Micro(written), root FROM batches WHERE shard = 0 ORDER BY seq"
)

// Tables compares the tables with the log: each record and each sealed part in
// it once, and nothing else; batches as they are.
func (l *Log) Tables(ctx context.Context, db driver.Conn) ([]Fault, error) {
	var f faults
	for _, compare := range []func(context.Context, driver.Conn, *faults) error{l.events, l.payloads, l.batches} {
		if err := compare(ctx, db, &f); err != nil {
			return nil, err
		}
	}
	return f.list(), nil
}

// each gives every row of a query to take.
func each(ctx context.Context, db driver.Conn, query string, take func(scan func(...any) error) error) error {
	rows, err := db.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return fmt.Errorf("read tables: %w", err)
		}
	}
	return rows.Err()
}

// walk compares indices that come in order with those that are wanted.
type walk struct {
	what string
	want []uint64
	f    *faults
}

// at reports whether index is the next one that is wanted.
func (w *walk) at(index uint64) bool {
	for len(w.want) > 0 && w.want[0] < index {
		w.f.add(w.what+" is missing", "%d", w.want[0])
		w.want = w.want[1:]
	}
	if len(w.want) == 0 || w.want[0] > index {
		w.f.add(w.what+" is there twice, or is not in the log", "%d", index)
		return false
	}
	w.want = w.want[1:]
	return true
}

func (w *walk) end() {
	for _, index := range w.want {
		w.f.add(w.what+" is missing", "%d", index)
	}
}

func (l *Log) events(ctx context.Context, db driver.Conn, f *faults) error {
	w := walk{what: "events: row of index", f: f, want: make([]uint64, len(l.Records))}
	for i := range w.want {
		w.want[i] = uint64(i)
	}
	err := each(ctx, db, readEvents, func(scan func(...any) error) error {
		var index uint64
		var r Record
		if err := scan(&index, &r.Tenant, &r.Source, &r.ID, &r.Type, &r.Time, &r.Received, &r.Issuer,
			&r.SubjectRef, &r.TokenRef, &r.Outcome, &r.Reason, &r.PayloadHash); err != nil {
			return err
		}
		if w.at(index) && r != l.Records[index] {
			f.add("events: a row differs from the log", "index=%d id=%s", index, r.ID)
		}
		return nil
	})
	w.end()
	return err
}

func (l *Log) payloads(ctx context.Context, db driver.Conn, f *faults) error {
	w := walk{what: "payloads: row of index", f: f}
	for i := range l.Records {
		if l.Records[i].PayloadHash != [32]byte{} {
			w.want = append(w.want, uint64(i))
		}
	}
	err := each(ctx, db, readPayloads, func(scan func(...any) error) error {
		var index uint64
		var sum [32]byte
		if err := scan(&index, &sum); err != nil {
			return err
		}
		if w.at(index) && sum != l.Records[index].PayloadHash {
			f.add("payloads: a row differs from the log", "index=%d", index)
		}
		return nil
	})
	w.end()
	return err
}

func (l *Log) batches(ctx context.Context, db driver.Conn, f *faults) error {
	w := walk{what: "batches: row of sequence", f: f}
	for i := range l.Batches {
		w.want = append(w.want, l.Batches[i].Seq)
	}
	err := each(ctx, db, readBatches, func(scan func(...any) error) error {
		var b Batch
		if err := scan(&b.Seq, &b.First, &b.Epoch, &b.Size, &b.Count, &b.Lane, &b.Written, &b.Root); err != nil {
			return err
		}
		if w.at(b.Seq) && b != l.Batches[b.Seq-1] {
			f.add("batches: a row differs from the log", "seq=%d", b.Seq)
		}
		return nil
	})
	w.end()
	return err
}
