package erasure

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/hold"
)

// errNoArchive says that a hold concerns an erasure and cannot be heeded.
var errNoArchive = errors.New("a legal hold has to be heeded, and there is no archive to find what it keeps in")

// kept is what holds keep of a person.
type kept struct {
	heeded string   // digest of the holds that were looked at
	holds  []string // ids of those that keep anything
	each   []int    // how many parts each of them does
	parts  int
	untold []string // ids of recipients who were not told
}

// open reports whether an erasure is not complete.
func (k *kept) open() bool { return k.parts > 0 || len(k.untold) > 0 }

// reason says why it is not.
func (k *kept) reason() string {
	if k.parts > 0 {
		return LegalHold
	}
	return untold
}

// untold is the reason of a request that is complete but for telling recipients.
const untold = "recipients_not_told"

// digestOf names a set of holds.
func digestOf(active, _ []hold.Hold) string {
	ids := make([]string, len(active))
	for i, h := range active {
		ids[i] = h.ID
	}
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	return hex.EncodeToString(sum[:16])
}

func (w *Workflow) holdsOf(r *Request) (active, released []hold.Hold) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.holds.Of(r.Tenant, r.subject)
}

// keep has every hold that lasts keep what it matches of r's subject. A hold
// that is placed meanwhile is heeded too: what it returns was looked at while
// no other was on the log.
func (w *Workflow) keep(ctx context.Context, r *Request) (kept, error) {
	for {
		active, released := w.holdsOf(r)
		got, err := w.keepUnder(ctx, r, active, append(slices.Clone(active), released...))
		if err != nil {
			return kept{}, err
		}
		if err := w.cfg.Lane.Sync(ctx); err != nil {
			return kept{}, err
		}
		if got.heeded == digestOf(w.holdsOf(r)) {
			return got, nil
		}
	}
}

// keepUnder keeps under each of the active holds, and finds what it keeps under
// the person's key or under any of all. The fence goes first, also where nothing is
// held: behind it a hold that names the person is refused. Then it waits for
// what was sealed before the fence, which may still be on its way to the log and
// from there to the archive.
func (w *Workflow) keepUnder(ctx context.Context, r *Request, active, all []hold.Hold) (kept, error) {
	got := kept{heeded: digestOf(active, nil)}
	if len(active) > 0 && !w.canHold() {
		return got, errNoArchive
	}
	if err := w.cfg.Keyring.Fence(ctx, r.Tenant, r.subject); err != nil || len(active) == 0 {
		return got, err
	}
	if err := w.landed(ctx, r); err != nil {
		return got, err
	}
	if err := w.catchUp(ctx, r); err != nil {
		return got, err
	}
	for i := range active {
		parts, err := w.keepOne(ctx, r, &active[i], all)
		if err != nil {
			return got, fmt.Errorf("keep for a hold index=%d: %w", active[i].Position, err)
		}
		if got.parts += parts; parts > 0 {
			got.holds, got.each = append(got.holds, active[i].ID), append(got.each, parts)
		}
	}
	return got, nil
}

// errBehind says that the archive of a shard was waited for in this round.
var errBehind = errors.New("the archive is behind its log")

// catchUp returns once all is in the archive that was on the log when it was first
// called for r: behind the fence nothing is added to what is looked for. A shard is
// waited for once a round, as others wait behind it.
func (w *Workflow) catchUp(ctx context.Context, r *Request) error {
	end, err := w.endFor(ctx, r)
	if err != nil {
		return fmt.Errorf("catch up with the log: %w", err)
	}
	if recorded, gaveUp := w.behind.Load(r.Shard); gaveUp && recorded.(uint64) < end {
		return fmt.Errorf("catch up with the log: recorded shard=%d to %d of %d: %w", r.Shard, recorded, end, errBehind)
	}
	recorded, err := w.cfg.Archive.CatchUp(ctx, r.Shard, end)
	if err != nil {
		w.behind.Store(r.Shard, recorded)
		return fmt.Errorf("catch up with the log: %w", err)
	}
	return nil
}

// endFor is where the log ended when it was first asked for r.
func (w *Workflow) endFor(ctx context.Context, r *Request) (uint64, error) {
	if end, asked := w.ends.Load(r.name()); asked {
		return end.(uint64), nil
	}
	end, err := w.cfg.Archive.End(ctx, r.Shard)
	if err == nil {
		w.ends.Store(r.name(), end)
	}
	return end, err
}

// partsAtOnce is how many records are in memory while a hold is heeded.
const partsAtOnce = 500

// keepOne keeps under one hold, and says how much that keeps.
func (w *Workflow) keepOne(ctx context.Context, r *Request, h *hold.Hold, all []hold.Hold) (total int, err error) {
	place := stream.HeldPart{Tenant: r.Tenant, Hold: h.Ref(), Subject: r.subject, Shard: r.Shard}
	there, err := w.cfg.Held.List(ctx, place)
	if err != nil {
		return 0, err
	}
	total = len(there)
	wanted := Wanted{Tenant: r.Tenant, Shard: r.Shard, Person: r.subject, Match: h.Match, Limit: partsAtOnce}
	for {
		parts, err := w.cfg.Archive.Parts(ctx, wanted)
		if err != nil {
			return 0, err
		}
		for i := range parts {
			place.Index = parts[i].Index
			if there[place.Index] || len(parts[i].Sealed) == 0 {
				continue
			}
			did, err := w.keepPart(ctx, r, h, &parts[i], all, place)
			if err != nil {
				return 0, err
			}
			if did {
				total++
			}
		}
		if len(parts) < partsAtOnce {
			return total, nil
		}
		wanted.From = parts[len(parts)-1].Index + 1
	}
}

// keepPart seals one part anew. It reports false where nobody can open it any
// more.
func (w *Workflow) keepPart(ctx context.Context, r *Request, h *hold.Hold, p *Part, all []hold.Hold, place stream.HeldPart) (bool, error) {
	plain, err := w.openAny(ctx, r, p, all)
	switch {
	case errors.Is(err, seal.ErrDestroyed):
		return false, nil // before the hold was placed
	case errors.Is(err, seal.ErrSealed):
		w.cfg.Logger.WarnContext(ctx, "a hold cannot keep what does not open", slog.Int("shard", int(r.Shard)), slog.Uint64("index", p.Index))
		return false, nil
	case err != nil:
		return false, err
	}
	key, err := w.cfg.Keyring.HoldKey(ctx, r.Tenant, h.KeyOf(r.subject))
	if err != nil {
		return false, err
	}
	sealed, err := key.Seal(r.Tenant, p.Record.Source, p.Record.ID, plain)
	if err != nil {
		return false, err
	}
	return true, w.cfg.Held.Put(ctx, place, sealed)
}

// openAny opens a part under the person's key or, where that is gone, under a
// hold that keeps it.
func (w *Workflow) openAny(ctx context.Context, r *Request, p *Part, all []hold.Hold) ([]byte, error) {
	plain, err := w.cfg.Keyring.OpenFenced(ctx, sealedPart(p.Record, p.Sealed))
	if !errors.Is(err, seal.ErrDestroyed) {
		return plain, err
	}
	plain, _, err = w.openHeld(ctx, all, r.Shard, p.Index, p.Record)
	return plain, err
}

// openHeld opens a part under the first of holds that keeps it. The error wraps
// seal.ErrDestroyed where none does.
func (w *Workflow) openHeld(ctx context.Context, holds []hold.Hold, shard uint16, index uint64, record *events.Record) ([]byte, string, error) {
	for i := range holds {
		h := &holds[i]
		if !h.Keeps(record) {
			continue
		}
		sealed, err := w.cfg.Held.Get(ctx, stream.HeldPart{Tenant: record.Tenant, Hold: h.Ref(), Subject: record.SubjectRef, Shard: shard, Index: index})
		if errors.Is(err, stream.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		plain, err := w.cfg.Keyring.OpenHeld(ctx, h.KeyOf(record.SubjectRef), sealedPart(record, sealed))
		if errors.Is(err, seal.ErrDestroyed) {
			continue
		}
		return plain, h.ID, err
	}
	return nil, "", seal.ErrDestroyed
}

func sealedPart(r *events.Record, sealed []byte) seal.OpenRequest {
	return seal.OpenRequest{
		Tenant: r.Tenant, Source: r.Source, ID: r.ID, Ref: r.SubjectRef, Generation: r.DataKey, Sealed: sealed, Hash: r.PayloadHash,
	}
}

// OpenHeld opens the personal part of somebody who was forgotten, where a hold
// that lasts keeps it, and says which. Sealed is the part as the archive has it.
// The error wraps seal.ErrDestroyed where none does.
func (w *Workflow) OpenHeld(ctx context.Context, shard uint16, index uint64, record *events.Record, sealed []byte) (plain []byte, by string, err error) {
	w.mu.RLock()
	active, _ := w.holds.Of(record.Tenant, record.SubjectRef)
	w.mu.RUnlock()
	if w.cfg.Held == nil || record.SubjectRef.IsZero() {
		return nil, "", seal.ErrDestroyed
	}
	plain, by, err = w.openHeld(ctx, active, shard, index, record)
	keeps := slices.IndexFunc(active, func(h hold.Hold) bool { return h.Keeps(record) })
	if !errors.Is(err, seal.ErrDestroyed) || keeps < 0 || len(sealed) == 0 {
		return plain, by, err
	}
	// The fence may be set, and the part not be kept yet: then the key is there.
	plain, err = w.cfg.Keyring.OpenFenced(ctx, sealedPart(record, sealed))
	if errors.Is(err, seal.ErrDestroyed) { // by now it is kept, if it ever will be
		return w.openHeld(ctx, active, shard, index, record)
	}
	return plain, active[keeps].ID, err
}

// released is the holds that were released since r was approved. One that was
// before was not heeded: there was nothing to erase yet.
func (w *Workflow) released(r *Request) []hold.Hold {
	_, all := w.holdsOf(r)
	return slices.DeleteFunc(slices.Clone(all), func(h hold.Hold) bool { return h.Released.Before(r.approvedAt()) })
}

// letGo destroys what holds kept that were released since r was approved.
func (w *Workflow) letGo(ctx context.Context, r *Request) error {
	for _, h := range w.released(r) {
		if err := w.destroyBeside(ctx, r, h.KeyOf(r.subject)); err != nil {
			return err
		}
		if w.cfg.Held == nil {
			continue
		}
		if err := w.cfg.Held.Purge(ctx, stream.HeldPart{Tenant: r.Tenant, Hold: h.Ref(), Subject: r.subject}); err != nil {
			return err
		}
	}
	return nil
}

// maxMissing is how many holds a partial request names.
const maxMissing = 20

// lacks names what is missing, as far as an attribute has room: the first holds,
// and of the recipients the first, one at least.
func (k *kept) lacks() []string {
	named := slices.Clone(k.holds[:min(len(k.holds), maxMissing)])
	room := events.MaxAttributeBytes - len(strings.Join(named, " "))
	for _, id := range k.untold {
		if room -= len(" " + missingRecipient + id); room < 0 {
			break
		}
		named = append(named, missingRecipient+id)
	}
	return named
}

// remain states that r is carried out but for what holds keep, and whom it has
// not told. There is one such event for each time that the holds change, and one
// when all were told and holds keep something.
func (w *Workflow) remain(ctx context.Context, r *Request, k kept) error {
	if r.ended() {
		return nil
	}
	named := k.lacks()
	attributes := map[string]string{
		attrRequest: r.ID, attrOutcome: string(OutcomePartial), attrMissing: strings.Join(named, " "),
		attrHolds: k.heeded, attrKept: strconv.Itoa(k.parts),
	}
	signed, err := w.receiptOf(ctx, r, OutcomePartial, named)
	if err != nil {
		return err
	}
	writeReceipt(attributes, signed)
	step := fmt.Sprintf(".partial.%d.%d", r.rounds, r.settledTellings())
	return w.recordAt(ctx, r, events.RequestCompleted, step, r.settled(), events.Data{Actor: Worker, Reason: k.reason(), Attributes: attributes})
}
