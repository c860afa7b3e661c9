package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/rescindhq/rescind/internal/sleep"
)

// found is what a pass over the entries from before an epoch has found of others.
type found struct {
	moved int            // entries that were wrapped anew
	left  map[uint32]int // entries that are still of another epoch, by epoch
	odd   int            // entries that are of no epoch
}

func (f *found) damagedInAll() int {
	n := f.odd
	for _, left := range f.left {
		n += left
	}
	return n
}

// pass looks at every entry that was written before the current epoch began,
// and wraps those of other epochs anew if so asked.
func (r *Rotation) pass(ctx context.Context, current uint32, rewrap bool) (found, error) {
	f := found{left: map[uint32]int{}}
	for from := uint64(0); ; {
		began := time.Now()
		page, next, err := r.cfg.Revisions.Before(ctx, epochName(current), from)
		if err != nil {
			return f, err
		}
		if rewrap {
			err = r.rewrap(ctx, current, page, &f)
		} else {
			f.look(current, page)
		}
		switch {
		case errors.Is(err, ErrChanged): // read these again: what is gone stays gone
			r.count(func(s *RotationStats) { s.Repeated++ })
		case err != nil:
			return f, err
		case next == 0:
			return f, nil
		default:
			from = next
		}
		if err := r.rest(ctx, time.Since(began)); err != nil {
			return f, err
		}
	}
}

// rest leaves the store to others for as long as Share says after work of some
// length.
func (r *Rotation) rest(ctx context.Context, worked time.Duration) error {
	idle := worked * time.Duration(100-r.cfg.Share) / time.Duration(r.cfg.Share)
	if idle == 0 {
		return ctx.Err()
	}
	return sleep.For(ctx, idle)
}

func (f *found) look(current uint32, page []Stored) {
	for _, e := range page {
		if n, err := epochOf(e.Value); err == nil && n != current && !ofEpochs(e.Key) {
			f.left[n]++
		}
	}
}

// rewrap wraps those of a page anew that are of another epoch than the current
// one. The error wraps ErrChanged where one of them is not as it was read: then
// none was written.
func (r *Rotation) rewrap(ctx context.Context, current uint32, page []Stored, f *found) error {
	w, err := r.wrapperOf(ctx, current)
	if err != nil {
		return err
	}
	old, odd := ofOthers(current, page)
	if len(old) == 0 {
		f.odd += odd
		return nil
	}
	plain, err := r.open(ctx, old)
	if err != nil {
		return err
	}
	returned, err := r.returned(ctx, plain)
	if err != nil {
		return err
	}
	anew, left := make([]Stored, 0, len(old)), map[uint32]int{}
	for i, e := range old {
		switch {
		case plain[i].value == nil:
			n, _ := epochOf(e.Value)
			left[n]++
		case !returned[e.Key]:
			anew = append(anew, Stored{Key: e.Key, Value: w.wrap(e.Key, plain[i].value), Revision: e.Revision})
		}
	}
	if err := r.cfg.Revisions.Replace(ctx, epochName(current+1), anew...); err != nil {
		return err
	}
	f.moved += len(anew)
	f.odd += odd
	for n, some := range left {
		f.left[n] += some
	}
	r.count(func(s *RotationStats) { s.Rewrapped += uint64(len(anew)) })
	return nil
}

func (r *Rotation) wrapperOf(ctx context.Context, n uint32) (*wrapper, error) {
	if err := r.epochs.ask(ctx); err != nil {
		return nil, err
	}
	defer r.epochs.asked()
	return r.epochs.open(ctx, n)
}

// ofOthers is the entries of a page that are wrapped in other epochs than the
// current one, and how many are wrapped in none.
func ofOthers(current uint32, page []Stored) (old []Stored, odd int) {
	for _, e := range page {
		if ofEpochs(e.Key) {
			continue
		}
		switch n, err := epochOf(e.Value); {
		case err != nil:
			odd++
		case n != current:
			old = append(old, e)
		}
	}
	return old, odd
}

// opened is an entry that was unwrapped: its value is nil where it does not open.
type opened struct {
	name  string
	value []byte
}

func (r *Rotation) open(ctx context.Context, old []Stored) ([]opened, error) {
	values := make(map[string][]byte, len(old))
	for _, e := range old {
		values[e.Key] = e.Value
	}
	if _, err := r.epochs.need(ctx, values); err != nil {
		return nil, err
	}
	out := make([]opened, len(old))
	for i, e := range old {
		out[i].name = e.Key
		plain, err := r.keys.unwrap(e.Key, e.Value)
		if err != nil {
			if err := r.unchanged(ctx, e); err != nil {
				return nil, err
			}
			r.keys.reportEntry(e.Key, err)
			continue
		}
		out[i].value = plain
	}
	return out, nil
}

// unchanged looks whether an entry is still as it was read: who slept since then
// may have what others have wrapped anew, and destroyed the epoch of.
func (r *Rotation) unchanged(ctx context.Context, e Stored) error {
	got, err := r.keys.store.Get(ctx, e.Key)
	if err == nil && !bytes.Equal(got[e.Key], e.Value) {
		return ErrChanged
	}
	return err
}

// tenantOf is the tenant that the name of an entry says; empty where it is nobody's.
func tenantOf(name string) string {
	letter, rest, _ := strings.Cut(name, ".")
	if letter+"." == intakePrefix || letter+"." == receiptPrefix || name == ledgerName {
		return ""
	}
	tenant, _, _ := strings.Cut(rest, ".")
	return tenant
}

// returned erases the keys among entries that Destroy had destroyed and somebody
// put back, and says which. What Destroy is about to erase is left to it.
func (r *Rotation) returned(ctx context.Context, entries []opened) (map[string]bool, error) {
	marks := map[string]opened{}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if name, ok := markIn(e); ok {
			marks[name] = e
			names = append(names, name)
		}
	}
	got, err := r.keys.load(ctx, names)
	if err != nil {
		return nil, err
	}
	gone := map[string]bool{}
	for name, e := range marks {
		late, err := r.keys.longMarked(got, name)
		if err != nil {
			return nil, err
		}
		if !late {
			continue
		}
		r.keys.tampered(Tampering{Kind: KeyReturned, Tenant: tenantOf(e.name), Entry: kind(e.name)})
		if err := r.keys.erase(ctx, e.name); err != nil {
			return nil, fmt.Errorf("erase a key that came back: %w", err)
		}
		gone[e.name] = true
	}
	return gone, nil
}

// markIn is the name of the mark that is there if an entry is a person's key that
// was destroyed.
func markIn(e opened) (name string, ok bool) {
	var k keyEntry
	if e.value == nil || !strings.HasPrefix(e.name, "k.") || cbor.Unmarshal(e.value, &k) != nil {
		return "", false
	}
	return markName(tenantOf(e.name), k.Key.mark()), true
}
