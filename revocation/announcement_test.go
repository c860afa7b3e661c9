package revocation

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

func announce(t testing.TB, d *Delta) []byte {
	t.Helper()
	m, err := d.Announce(signer)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnnouncementIsWhatIsRevoked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := &Delta{Head: drawHead(t), Prev: 1, PrevSum: ref(2), Entries: drawEntries(t)}
		var want []Entry
		for _, e := range d.Entries {
			if !e.Lift {
				want = append(want, e)
			}
		}
		m, err := d.Announce(signer)
		switch {
		case err != nil:
			t.Fatal(err)
		case m == nil && len(want) > 0 && len(d.Entries) <= MaxAnnounced:
			t.Fatal("not announced")
		case m == nil:
			return
		}
		a, err := OpenAnnouncement(public, m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&Announcement{Head: d.Head, Entries: want}, a, equal); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestNothingAndTooMuchAreNotAnnounced(t *testing.T) {
	t.Parallel()
	many := &Delta{}
	for n := range uint64(MaxAnnounced + 1) {
		many.Entries = append(many.Entries, revoke(n+1, feedKey("acme", 1), events.ScopeToken, someone, 0))
	}
	most := &Delta{Entries: many.Entries[1:]}
	lift := &Delta{Entries: []Entry{{Hash: ref(1), Index: 1, Lift: true}}}
	for name, c := range map[string]struct {
		d    *Delta
		want bool
	}{"a heartbeat": {&Delta{}, false}, "a lift": {lift, false}, "too many": {many, false}, "the most there may be": {most, true}} {
		if m := announce(t, c.d); (m != nil) != c.want {
			t.Errorf("%s: announced %t", name, m != nil)
		}
	}
}

// An announcement cannot be made a link of the chain, nor the other way round,
// and no signature makes one of what an announcement may not say.
func TestAnnouncementsAndDeltasCannotPassForEachOther(t *testing.T) {
	t.Parallel()
	e := revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0)
	m := announce(t, &Delta{Entries: []Entry{e}})
	if _, err := OpenDelta(public, m); !errors.Is(err, ErrSignature) {
		t.Errorf("an announcement as delta: %v", err)
	}
	if _, err := OpenAnnouncement(public, signedDelta(t)); !errors.Is(err, ErrSignature) {
		t.Errorf("a delta as announcement: %v", err)
	}
	if _, err := OpenAnnouncement(another.Public().(ed25519.PublicKey), m); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	for i := range m {
		m[i] ^= 1
		if _, err := OpenAnnouncement(public, m); !errors.Is(err, ErrSignature) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		m[i] ^= 1
	}
	lift := Entry{Hash: ref(1), Index: 1, Lift: true, Expires: 1000}
	many := make([]Entry, MaxAnnounced+1)
	for i := range many {
		many[i] = e
	}
	for name, entries := range map[string][]Entry{"a lift": {e, lift}, "too many": many} {
		payload, err := (&Delta{Entries: entries}).payload()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenAnnouncement(public, purposeAnnouncement.sign(signer, payload)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnnouncementOfWhatIsKnownOrOfAnotherHistoryIsNothing(t *testing.T) {
	t.Parallel()
	const tenants = "abcdefgh"
	at := Head{Epoch: 1, Feed: 2, Position: 10, Others: []Place{{Epoch: 3, Position: 20}}}
	var entries, beyond []Entry
	for _, tenant := range tenants {
		position := at.Place(events.ShardOf(string(tenant), 2)).Position
		known, next := revoke(1, feedKey(string(tenant), 1), events.ScopeToken, someone, 0), revoke(2, feedKey(string(tenant), 1), events.ScopeToken, someone, 0)
		known.Index, next.Index = position, position+1
		entries, beyond = append(entries, known, next), append(beyond, next)
	}
	a := &Announcement{Head: at, Entries: entries}
	if diff := cmp.Diff(beyond, a.Beyond(&at), equal); diff != "" {
		t.Error(diff)
	}
	for name, h := range map[string]Head{
		"another log":                     {Epoch: 9, Feed: 2, Others: []Place{{Epoch: 3}}},
		"another feed":                    {Epoch: 1, Feed: 9, Others: []Place{{Epoch: 3}}},
		"another log of the second shard": {Epoch: 1, Feed: 2, Others: []Place{{Epoch: 9}}},
		"fewer shards":                    {Epoch: 1, Feed: 2},
	} {
		if got := a.Beyond(&h); got != nil {
			t.Errorf("%s: %d entries", name, len(got))
		}
	}
}
