package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// past is what was read of the logs.
type past struct {
	ends     []stream.LogMessage // the last message of each control lane
	restored map[uint16]uint64   // shards whose log ends before what was erased: up to which index that was

	asked   map[asked]*ledger.Person // erasures that are not carried out, as far as was read
	erased  map[line]ledger.Person   // what is to be in the ledger
	unknown map[ledger.Digest]bool   // requests that were carried out, and asked for before what was read
	refused map[refused]events.Timestamp
	found   map[string]bool // ids of findings of ours
	ended   map[asked]bool  // of requests that were decided, or answered: whether nothing is to be carried out
}

type asked struct{ tenant, id string }

// line is what one line of the ledger is about.
type line struct {
	tenant string
	ref    events.Ref
	held   bool
}

func lineOf(p ledger.Person) line { return line{p.Tenant, p.Ref, p.Held} }

// refused is a subject whose tokens are refused.
type refused struct {
	tenant string
	hash   events.Ref
}

// readBytes is of batches that are read at once.
const readBytes = 4 << 20

// read reads each control lane from where the ledger has seen it; from its
// beginning where it has not, or where the log is another than it was then.
func (g *gate) read(ctx context.Context, s *survey) (*past, error) {
	p := newPast(len(g.Logs))
	for k := range g.Logs {
		shard := uint16(k)
		from, err := g.from(ctx, s, p, shard)
		if err != nil {
			return nil, err
		}
		if err := g.readFrom(ctx, p, shard, from); err != nil {
			return nil, err
		}
	}
	if len(p.unknown) == 0 {
		return p, nil
	}
	if err := g.Ledger.Read(ctx, func(e ledger.Entry) error {
		if e, is := e.(ledger.Person); is {
			delete(p.unknown, e.Request)
		}
		return nil
	}); err != nil || len(p.unknown) == 0 {
		return p, err
	}
	all := newPast(len(g.Logs))
	all.restored = p.restored
	for k := range g.Logs {
		if err := g.readFrom(ctx, all, uint16(k), 1); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func newPast(shards int) *past {
	return &past{
		ends: make([]stream.LogMessage, shards), restored: map[uint16]uint64{}, asked: map[asked]*ledger.Person{}, erased: map[line]ledger.Person{},
		unknown: map[ledger.Digest]bool{}, refused: map[refused]events.Timestamp{}, found: map[string]bool{},
		ended: map[asked]bool{},
	}
}

// from is the sequence to read the log of a shard from.
func (g *gate) from(ctx context.Context, s *survey, p *past, shard uint16) (uint64, error) {
	seen, compared := s.seen[shard]
	size, err := g.size(ctx, shard)
	if err != nil {
		return 0, err
	}
	if highest, is := s.highest[shard]; is && highest >= size {
		p.restored[shard] = highest
		return 1, nil
	}
	if !compared {
		return 1, nil
	}
	m, err := g.Logs[shard].Get(ctx, seen.Seq)
	switch {
	case errors.Is(err, stream.ErrNotFound), err == nil && digestOf(m) != seen.Digest:
		p.restored[shard] = max(size, s.highest[shard])
		return 1, nil
	case err != nil:
		return 0, err
	}
	return seen.Seq + 1, nil
}

// size is how many records are on the log of a shard.
func (g *gate) size(ctx context.Context, shard uint16) (uint64, error) {
	last, err := g.Logs[shard].Last(ctx)
	if err != nil || last.Seq == 0 {
		return 0, err
	}
	b, err := events.UnmarshalBatch(last.Data)
	if err != nil {
		return 0, fmt.Errorf("shard %d seq=%d: %w", shard, last.Seq, err)
	}
	return b.Header.First + uint64(len(b.Items)), nil
}

// readFrom reads the control lane of a shard from a sequence to where it ends
// now.
func (g *gate) readFrom(ctx context.Context, p *past, shard uint16, from uint64) error {
	log := g.Logs[shard]
	end, err := log.LastOf(ctx, events.Control)
	if err != nil {
		return err
	}
	p.ends[shard] = end
	if end.Seq < from {
		return nil
	}
	r, err := log.Read(ctx, from, events.Control)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		msgs, err := r.Next(ctx, readBytes)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if err := p.batch(m.Data); err != nil {
				return fmt.Errorf("shard %d seq=%d: %w", shard, m.Seq, err)
			}
			if m.Seq >= end.Seq {
				return nil
			}
		}
	}
}

func (p *past) batch(data []byte) error {
	b, err := events.UnmarshalBatch(data)
	if err != nil {
		return err
	}
	for i, item := range b.Items {
		r, err := events.UnmarshalRecord(item.Record)
		if err != nil {
			return err
		}
		p.record(b.Header.Shard, b.Header.First+uint64(i), r)
	}
	return nil
}

// record takes what a record says of an erasure. Only the worker's events are
// believed, as a request's own state would.
func (p *past) record(shard uint16, index uint64, r *events.Record) {
	if r.Source == Source && r.Type == events.FindingOpened {
		p.found[r.ID] = true
	}
	if r.Source != erasure.Source {
		return
	}
	at := asked{r.Tenant, r.Attributes["request"]}
	switch r.Type {
	case events.RequestReceived:
		if r.Attributes["request_type"] == erasure.Erasure && !r.SubjectRef.IsZero() && p.asked[at] == nil {
			p.asked[at] = &ledger.Person{Tenant: r.Tenant, Ref: r.SubjectRef, Request: ledger.DigestOf(at.id), Shard: shard, Index: index}
		}
	case events.RequestApproved, events.RequestDenied, events.RequestCancelled:
		p.decided(at, r)
	case events.SubjectRevoked, events.RevocationRestored:
		p.revoked(at, index, r)
	case events.RequestCompleted:
		p.completed(at, index, r)
	}
}

func (p *past) revoked(at asked, index uint64, r *events.Record) {
	v := r.Revocation
	if v == nil {
		return
	}
	who := refused{r.Tenant, v.Hash}
	p.refused[who] = max(p.refused[who], v.IssuedBefore)
	if a := p.asked[at]; a != nil && a.Ref == r.SubjectRef {
		a.Refused = events.Revocation{Scope: v.Scope, Hash: v.Hash, FeedKey: v.FeedKey, IssuedBefore: v.IssuedBefore, Expires: v.Expires}
		a.Index = index
	}
}

func (p *past) completed(at asked, index uint64, r *events.Record) {
	outcome := erasure.Outcome(r.Attributes["outcome"])
	partial := outcome == erasure.OutcomePartial
	if !partial && outcome != erasure.Erased && outcome != erasure.NoMatch {
		if p.asked[at] != nil {
			p.ended[at] = true
		}
		return // it destroyed nothing
	}
	a := p.asked[at]
	if a == nil {
		p.unknown[ledger.DigestOf(at.id)] = true
		return
	}
	a.At, a.Index, a.Held = time.UnixMicro(r.Received).UTC(), index, partial && r.Attributes["kept"] != "0" // it may wait for recipients alone
	p.erased[lineOf(*a)] = *a
	if !partial {
		delete(p.asked, at)
		delete(p.ended, at)
		delete(p.erased, line{a.Tenant, a.Ref, true}) // the last line about somebody counts
	}
}

// decided takes the first decision on a request: no other counts. Who takes back
// what they asked for decides nothing for others who did.
func (p *past) decided(at asked, r *events.Record) {
	if _, there := p.ended[at]; !there && p.asked[at] != nil && r.Attributes["withdraw"] == "" {
		p.ended[at] = r.Type != events.RequestApproved
	}
}

// open is the erasures that restored logs do not say to be answered, by whom they
// are of. Where such a log says that somebody was erased, that answered all of theirs.
func (p *past) open() map[seal.Reference][]*ledger.Person {
	out := map[seal.Reference][]*ledger.Person{}
	for at, a := range p.asked {
		_, restored := p.restored[a.Shard]
		_, erased := p.erased[line{a.Tenant, a.Ref, false}]
		_, inPart := p.erased[line{a.Tenant, a.Ref, true}]
		if restored && !erased && !inPart && !p.ended[at] {
			out[referenceOf(*a)] = append(out[referenceOf(*a)], a)
		}
	}
	return out
}
