package revocation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/rescindhq/rescind/events"
)

// What is on the wire does not change by itself: these are the hashes of what
// was signed when version 2 was made.
func TestWireFormatIsThatOfItsVersion(t *testing.T) {
	t.Parallel()
	h := Head{Epoch: 1, Feed: 2, Seq: 3, Position: 4, LogSeq: 5, Time: 6}
	e := Entry{Scope: events.ScopeToken, Hash: events.Ref{1}, Index: 2, Expires: 7000, At: 8000, Reason: "r"}
	delta, err := (&Delta{Head: h, Prev: 2, PrevSum: events.Ref{9}, Entries: []Entry{e}}).Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	set := NewSet(1)
	set.Apply(e)
	snapshot, err := set.Snapshot(h, events.Ref{9}, signer)
	if err != nil {
		t.Fatal(err)
	}
	for want, message := range map[string][]byte{
		"8774e8854da244bfa55baa772c0b74d664f3909002eb9f45e708ea556a60a16c": delta,
		"7b6b1dcda1df043394657eba4bfee19501b98a82d51d021f9addcf6e1c2c9ce2": snapshot,
	} {
		if sum := sha256.Sum256(message); hex.EncodeToString(sum[:]) != want {
			t.Errorf("got %x, want %s", sum, want)
		}
	}
}

func TestHeadKnowsTheOtherShards(t *testing.T) {
	t.Parallel()
	h := Head{Epoch: 1, Position: 2, LogSeq: 3, Others: []Place{{Epoch: 4, Position: 5, LogSeq: 6}, {Epoch: 7}}}
	before := h
	h.Reach(0, 20, 30)
	h.Reach(1, 50, 60)
	if h.Shards() != 3 || h.Place(0) != (Place{Epoch: 1, Position: 20, LogSeq: 30}) || h.Place(1) != (Place{Epoch: 4, Position: 50, LogSeq: 60}) {
		t.Errorf("got %+v", h)
	}
	if before.Place(1).Position != 5 || before.Place(0).Position != 2 || h.Place(3) != (Place{}) {
		t.Errorf("a copy moved with it: %+v", before)
	}
	if !h.SameHistory(&before) {
		t.Error("a head that moved on is not of its own history")
	}
	another, fewer := h, h
	another.Others, fewer.Others = []Place{{Epoch: 4}, {Epoch: 8}}, h.Others[:1]
	if h.SameHistory(&another) || h.SameHistory(&fewer) {
		t.Error("another log of a shard, or another number of them, is the same history")
	}
}

func TestTooManyShardsAreNotRead(t *testing.T) {
	t.Parallel()
	h := Head{Others: make([]Place, events.MaxShards)}
	delta, err := (&Delta{Head: h}).Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDelta(public, delta); !errors.Is(err, ErrFormat) {
		t.Errorf("delta: %v", err)
	}
	snapshot, err := NewSet(h.Shards()).Snapshot(h, events.Ref{}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSnapshot(public, snapshot); !errors.Is(err, ErrFormat) {
		t.Errorf("snapshot: %v", err)
	}
}
