package verify

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
)

const ofShard = " WHERE shard = {shard:UInt16} AND "

const (
	inRange = ofShard + "`index` BETWEEN {from:UInt64} AND {to:UInt64}"
	atIndex = ofShard + "`index` = {index:UInt64}"
)

func named(index uint64) []any { return []any{clickhouse.Named("index", index)} }

// eventsTable is the skeleton: each row is made into the record that it should
// be.
func eventsTable(v *verifier, dir string) *table {
	r, buffer := newRow(), []byte(nil)
	dests := r.dests()
	t := &table{place: Events, query: "SELECT " + selected + " FROM events" + inRange}
	t.scan = func(scan func(...any) error) (entry, error) {
		if err := scan(dests...); err != nil {
			return entry{}, err
		}
		buffer = r.encode(buffer[:0])
		if r.stray() {
			buffer = append(buffer, 0xff) // no record ends so
		}
		return entry{r.index, half(buffer)}, nil
	}
	t.explain = v.explainEvent
	return t.open(v, dir)
}

func (v *verifier) explainEvent(ctx context.Context, index uint64) (out []Difference, err error) {
	b, _, err := v.log.at(ctx, index)
	if err != nil || b == nil {
		return nil, err
	}
	item := &b.Items[index-b.Header.First]
	want, err := decodeRecord(item.Record)
	if err != nil {
		return []Difference{{Place: Events, Kind: Changed, Index: index, Detail: "the log's record cannot be decoded"}}, nil
	}
	err = v.rows(ctx, "SELECT "+selected+" FROM events"+atIndex, named(index), func(scan func(...any) error) error {
		r := newRow()
		if err := scan(r.dests()...); err != nil {
			return err
		}
		out = append(out, r.differences(want)...)
		return nil
	})
	return out, err
}

// payload is one row of payloads, of which the sealed part is hashed here.
type payload struct {
	index    uint64
	tenant   string
	person   string
	received int64
	sealed   string
}

const payloadColumns = "SELECT `index`, tenant, subject_ref, toUnixTimestamp64Micro(received), sealed FROM payloads"

func (p *payload) dests() []any { return []any{&p.index, &p.tenant, &p.person, &p.received, &p.sealed} }

func payloadsTable(v *verifier, dir string) *table {
	p := new(payload)
	t := &table{place: Payloads, query: payloadColumns + inRange}
	t.scan = func(scan func(...any) error) (entry, error) {
		if err := scan(p.dests()...); err != nil {
			return entry{}, err
		}
		return entry{p.index, payloadDigest(p.tenant, p.person, p.received, sum(p.sealed))}, nil
	}
	t.explain = v.explainPayload
	return t.open(v, dir)
}

func (v *verifier) explainPayload(ctx context.Context, index uint64) (out []Difference, err error) {
	b, _, err := v.log.at(ctx, index)
	if err != nil || b == nil {
		return nil, err
	}
	want, err := decodeRecord(b.Items[index-b.Header.First].Record)
	if err != nil {
		return nil, nil //nolint:nilerr // the log's own fault is reported where it was read
	}
	var hash []byte
	want.into(memberPayloadHash, &hash)
	err = v.rows(ctx, payloadColumns+atIndex, named(index), func(scan func(...any) error) error {
		p := new(payload)
		if err := scan(p.dests()...); err != nil {
			return err
		}
		out = append(out, compare(Payloads, index,
			pair{"tenant", fmt.Sprintf("%.60q", want.text(memberTenant)), fmt.Sprintf("%.60q", p.tenant)},
			pair{"subject_ref", fmt.Sprintf("%x", want.person()), fmt.Sprintf("%x", p.person)},
			pair{"received", fmt.Sprint(want.number(memberReceived)), fmt.Sprint(p.received)},
			pair{"sealed", fmt.Sprintf("sha256:%x", hash), fmt.Sprintf("sha256:%x", sum(p.sealed))})...)
		return nil
	})
	return out, err
}

// recorded is one row of batches.
type recorded struct {
	first, count, epoch, seq, size uint64
	lane, root                     string
	written                        int64
}

const batchColumns = "SELECT first, toUInt64(count), lane, epoch, seq, toUnixTimestamp64Micro(written), size, root FROM batches"

func (r *recorded) dests() []any {
	return []any{&r.first, &r.count, &r.lane, &r.epoch, &r.seq, &r.written, &r.size, &r.root}
}

func batchesTable(v *verifier, dir string) *table {
	r := new(recorded)
	t := &table{place: Batches, query: batchColumns + ofShard + "first BETWEEN {from:UInt64} AND {to:UInt64}"}
	t.scan = func(scan func(...any) error) (entry, error) {
		if err := scan(r.dests()...); err != nil {
			return entry{}, err
		}
		return entry{r.first, batchDigest(r.count, r.lane, r.epoch, r.seq, r.written, r.size, []byte(r.root))}, nil
	}
	t.explain = v.explainBatch
	return t.open(v, dir)
}

func (v *verifier) explainBatch(ctx context.Context, index uint64) (out []Difference, err error) {
	b, m, err := v.log.at(ctx, index)
	if err != nil || b == nil {
		return nil, err
	}
	h := &b.Header
	err = v.rows(ctx, batchColumns+ofShard+"first = {index:UInt64}", named(index), func(scan func(...any) error) error {
		r := new(recorded)
		if err := scan(r.dests()...); err != nil {
			return err
		}
		out = append(out, compare(Batches, index,
			pair{"count", fmt.Sprint(h.Count), fmt.Sprint(r.count)}, pair{"lane", h.Lane, fmt.Sprintf("%.20s", r.lane)},
			pair{"epoch", fmt.Sprint(h.Epoch), fmt.Sprint(r.epoch)}, pair{"seq", fmt.Sprint(m.seq), fmt.Sprint(r.seq)},
			pair{"written", fmt.Sprint(h.Written), fmt.Sprint(r.written)}, pair{"size", fmt.Sprint(h.Size), fmt.Sprint(r.size)},
			pair{"root", fmt.Sprintf("%x", h.Root), fmt.Sprintf("%x", r.root)})...)
		return nil
	})
	return out, err
}

// pair is what the log and a row say of one column.
type pair struct{ column, want, got string }

func compare(place Place, index uint64, pairs ...pair) (out []Difference) {
	for _, p := range pairs {
		if p.want != p.got {
			out = append(out, Difference{Place: place, Kind: Changed, Index: index, Column: p.column, Want: p.want, Got: p.got})
		}
	}
	return out
}

func sum(sealed string) []byte {
	h := sha256.Sum256([]byte(sealed))
	return h[:]
}
