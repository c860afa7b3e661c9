package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// key names a revocation: the keyed hash that it is found by, and its place in
// the log.
type key struct {
	hash  [16]byte
	index uint64
}

// held is what is known of one revocation. What two messages say of it is
// joined, so that order and repetition do not matter: the greatest cut-off,
// the greatest expiry, the earliest detail, and lifted once is lifted.
type held struct {
	shard   uint16
	index   uint64 // in that shard, of the revocation
	known   bool   // something revoked; else only a lift was seen
	lifted  bool
	scope   string
	cutoff  int64 // ms; 0: whatever iat says, which is the greatest
	starts  int64 // ms; 0: at once, which is the least
	expires int64 // ms; 0: never, which is the greatest
	at      int64 // ms
	reason  string
	tenant  string
	feedKey uint64
}

// join is the greater of two bounds, of which zero is none.
func join(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// set is revocations by what names them: a map, and nothing cleverer.
type set map[key]*held

func (s set) apply(k key, h held) {
	was := s[k]
	if was == nil {
		s[k] = &h
		return
	}
	was.expires = join(was.expires, h.expires)
	was.lifted = was.lifted || h.lifted
	if !h.known {
		return
	}
	cutoff, starts := h.cutoff, h.starts
	if was.known {
		cutoff, starts = join(was.cutoff, h.cutoff), min(was.starts, h.starts)
	}
	if !was.known || h.at < was.at {
		shard, index, lifted, expires := was.shard, was.index, was.lifted, was.expires
		*was = h
		was.shard, was.index, was.lifted, was.expires = shard, index, lifted, expires
	}
	was.cutoff, was.starts = cutoff, starts
}

// fold is what the log of a shard says should be in the set at a position of
// the feed.
type fold struct {
	shard  uint16
	upTo   uint64 // sequence in the log's stream that the feed has reached
	now    int64  // ms
	set    set
	due    uint64    // sequence that the feed should have reached
	behind uint64    // revocations and lifts above upTo
	owed   uint64    // of them up to due
	first  uint64    // index of the first of them
	since  time.Time // when that was logged

	end      uint64 // sequence of the last message of the log
	position uint64 // index of the last control record up to upTo
	positive bool   // there is one
	seen     bool   // the batch upTo is in the log, and of the control lane
}

// scopeOf is the scope that a type revokes, "" where it revokes nothing.
func scopeOf(eventType string) string {
	if eventType == "dev.rescind.revocation.restored.v1" { // of a person who was forgotten
		return "subject"
	}
	name, ok := strings.CutSuffix(strings.TrimPrefix(eventType, "dev.rescind."), ".revoked.v1")
	if !ok {
		return ""
	}
	return name
}

const liftType = "dev.rescind.revocation.lifted.v1"

// record takes what one record revokes or lifts, if it is living.
func (f *fold) record(index uint64, m message, r record) {
	eventType := r.text(memberType)
	scope, lift := scopeOf(eventType), eventType == liftType
	if scope == "" && !lift {
		return
	}
	if m.seq > f.upTo {
		f.late(index, m)
		return
	}
	v := record{}
	r.into(memberRevocation, &v)
	h := held{shard: f.shard, index: index, known: true, scope: scope, cutoff: max(down(v.number(3)), min(v.number(3), 1)*1000), starts: down(v.number(8)),
		expires: up(v.number(4)), at: down(r.number(memberReceived) / 1000),
		reason: r.text(memberReason), tenant: r.text(memberTenant), feedKey: uint64(v.number(5))}
	if lift {
		index = uint64(v.number(7))
		h = held{shard: f.shard, index: index, lifted: true, expires: h.expires}
	}
	if k := (key{v.ref(2), index}); k.hash != [16]byte{} && !over(h.expires, f.now) {
		f.set.apply(k, h)
	}
}

// The feed counts in whole seconds. What never expires says so in more than one
// way.
func down(ms int64) int64 { return ms - ms%1000 }

func up(ms int64) int64 {
	const lastSecond = 253402300799_000
	if ms >= lastSecond {
		return 0
	}
	return down(ms + 999)
}

// late counts a record that the feed has not reached.
func (f *fold) late(index uint64, m message) {
	if f.behind == 0 {
		f.first, f.since = index, m.at
	}
	f.behind++
	if m.seq <= f.due {
		f.owed++
	}
}

func (r record) ref(member uint64) (ref [16]byte) {
	var b []byte
	r.into(member, &b)
	copy(ref[:], b)
	return ref
}

// over reports whether something that expires then has no effect any more.
func over(expires, now int64) bool { return expires != 0 && expires <= now }

// reached notes a batch that was read.
func (f *fold) reached(h *wireHeader, seq uint64) {
	if seq > f.upTo || h.Lane != "control" {
		return
	}
	f.position, f.positive = h.last(), true
	f.seen = f.seen || seq == f.upTo
}

// soon is how close to its expiry an entry may be there or not: the feed and
// this reader look at different times.
const soon = int64(2 * time.Minute / time.Millisecond)

// compare says what of the log the feed's set has not, or has otherwise.
func (f *fold) compare(feed set) (out []Difference) {
	for k, want := range f.set {
		if over(want.expires, f.now+soon) {
			continue
		}
		if d := want.against(feed[k]); d != nil {
			d.Place, d.Shard, d.Index = Revocations, want.shard, want.index
			out = append(out, *d)
		}
	}
	return out
}

// unaccounted is what of the feed's set no log has.
func unaccounted(folds []*fold, feed set) (out []Difference) {
	for k, got := range feed {
		known := slices.ContainsFunc(folds, func(f *fold) bool { return f.set[k] != nil })
		if !known && !over(got.expires, folds[0].now+soon) {
			out = append(out, Difference{Place: Revocations, Kind: Extra, Shard: got.shard, Index: got.index, Detail: "no record up to here says so"})
		}
	}
	return out
}

func inOrder(all []Difference) []Difference {
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// against is the first thing in which got is not want. Of a revocation that
// was lifted only the lift counts: the rest may have expired before.
func (h *held) against(got *held) *Difference {
	switch {
	case got == nil || h.known && !got.known && !h.lifted:
		return &Difference{Kind: Missing, Detail: "the feed does not have it"}
	case h.lifted && !got.lifted:
		return &Difference{Kind: Missing, Detail: "it was lifted, the feed still revokes"}
	case !h.lifted && got.lifted:
		return &Difference{Kind: Extra, Detail: "the feed has lifted it, no record did"}
	case !h.known || !got.known:
		return nil
	}
	pairs := []pair{
		{"scope", h.scope, got.scope}, {"tenant", h.tenant, got.tenant}, {"reason", h.reason, got.reason},
		{"issued_before", fmt.Sprint(h.cutoff), fmt.Sprint(got.cutoff)}, {"starts", fmt.Sprint(h.starts), fmt.Sprint(got.starts)}, {"at", fmt.Sprint(h.at), fmt.Sprint(got.at)}, {"feed_key", fmt.Sprint(h.feedKey), fmt.Sprint(got.feedKey)},
	}
	if !h.lifted {
		pairs = append(pairs, pair{"expires", fmt.Sprint(h.expires), fmt.Sprint(got.expires)})
	}
	if all := compare(Revocations, h.index, pairs...); len(all) > 0 {
		return &all[0]
	}
	return nil
}

// living is how many revocations the log says are in force or lifted.
func (f *fold) living() uint64 { return uint64(len(f.set)) }
