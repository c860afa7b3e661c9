package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/recipient"
)

// Log is the log of a shard, as an archive compares itself with it: *stream.Log.
type Log interface {
	// Last is the last message, Seq 0 where there is none. It sees every one
	// that is durable when it is called.
	Last(ctx context.Context) (stream.LogMessage, error)
}

// Archive is the tables beside the logs that they are filled from.
type Archive struct {
	Store *Store
	Logs  []Log // of the shards, in their order

	// Recipients is whom Disclosed finds however many others there are. Nil finds
	// nobody beyond its bound, which is an error.
	Recipients *recipient.Registry

	// Poll is how often CatchUp looks. Default 20 ms.
	Poll time.Duration
	// Patience is how long CatchUp waits: behind it wait others. Default 10 s.
	Patience time.Duration
}

var _ erasure.Archive = (*Archive)(nil)

// CatchUp implements erasure.Archive and export.Archive.
func (a *Archive) CatchUp(ctx context.Context, shard uint16, end uint64) (uint64, error) {
	recorded := func(ctx context.Context) (uint64, error) { return a.Store.Recorded(ctx, shard) }
	last, err := await(ctx, end, recorded, max(a.Poll, 20*time.Millisecond), cmp.Or(a.Patience, 10*time.Second))
	if err != nil {
		return last, fmt.Errorf("recorded shard=%d to %d of %d: %w", shard, last, end, err)
	}
	return last, nil
}

var (
	errStill  = errors.New("it stands still")
	errBehind = errors.New("it goes on, and is still behind")
)

// await looks until end is recorded, and says what is. It waits no longer than patience,
// however far there is to go: who asks for the same end again comes to it, while an
// archive that is always as far behind never comes to the end of its log.
func await(ctx context.Context, end uint64, recorded func(context.Context) (uint64, error), poll, patience time.Duration) (last uint64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errStill)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	first, err := recorded(ctx)
	for last = first; err == nil && last < end; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, gaveUp(ctx, last > first)
		}
		var now uint64
		if now, err = recorded(ctx); err == nil {
			last = now
		}
	}
	if err != nil && ctx.Err() != nil {
		err = errors.Join(err, gaveUp(ctx, last > first))
	}
	return last, err
}

func gaveUp(ctx context.Context, moved bool) error {
	if cause := context.Cause(ctx); !moved || !errors.Is(cause, errStill) {
		return cause
	}
	return errBehind
}

// End implements erasure.Archive and export.Archive.
func (a *Archive) End(ctx context.Context, shard uint16) (uint64, error) {
	m, err := a.Logs[shard].Last(ctx)
	if err != nil {
		return 0, fmt.Errorf("end of the log shard=%d: %w", shard, err)
	}
	if m.Seq == 0 {
		return 0, nil
	}
	b, err := events.UnmarshalBatch(m.Data)
	if err != nil {
		return 0, fmt.Errorf("end of the log shard=%d: %w", shard, err)
	}
	return b.Header.Last() + 1, nil
}

// Parts implements erasure.Archive.
func (a *Archive) Parts(ctx context.Context, w erasure.Wanted) ([]erasure.Part, error) {
	search := query.Search{
		Tenant: w.Tenant, Shard: w.Shard, SubjectRef: w.Person, SessionRef: w.Match.Session, Client: w.Match.Client,
		Types: w.Match.Types, From: w.Match.From, To: w.Match.To, Limit: w.Limit,
	}
	if w.From > 0 {
		after := w.From - 1
		search.After = &after
	}
	rows, err := a.Store.Search(ctx, search)
	if err != nil {
		return nil, err
	}
	var indices []uint64
	var people []events.Ref
	for _, r := range rows {
		if !r.Record.PayloadHash.IsZero() {
			indices, people = append(indices, r.Index), append(people, w.Person)
		}
	}
	sealed, err := a.Store.Sealed(ctx, w.Tenant, w.Shard, indices, people)
	if err != nil {
		return nil, err
	}
	out := make([]erasure.Part, len(rows))
	for i := range rows {
		out[i] = erasure.Part{Index: rows[i].Index, Record: &rows[i].Record, Sealed: sealed[rows[i].Index]}
	}
	return out, nil
}
