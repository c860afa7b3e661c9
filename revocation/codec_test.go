package revocation

import (
	"bytes"
	"compress/flate"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

var (
	signer  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	public  = signer.Public().(ed25519.PublicKey)
	another = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	equal   = cmp.Options{cmpopts.IgnoreUnexported(KeyID{}, Head{}, Place{}), cmpopts.EquateEmpty()}
)

func drawHead(t *rapid.T) Head {
	others := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Place {
		return Place{Epoch: rapid.Uint64().Draw(t, "epoch"), Position: rapid.Uint64().Draw(t, "position"), LogSeq: rapid.Uint64().Draw(t, "log")}
	}), 0, events.MaxShards-1).Draw(t, "others")
	return Head{Others: others, Epoch: rapid.Uint64().Draw(t, "epoch"), Feed: rapid.Uint64().Draw(t, "feed"), Seq: rapid.Uint64().Draw(t, "seq"),
		Position: rapid.Uint64().Draw(t, "position"), LogSeq: rapid.Uint64().Draw(t, "log"), Time: rapid.Int64().Draw(t, "time")}
}

func TestDeltaRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := &Delta{Head: drawHead(t), Prev: rapid.Uint64().Draw(t, "prev"), PrevSum: ref(rapid.Uint64().Draw(t, "sum")), Entries: drawEntries(t)}
		b, err := d.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenDelta(public, b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got, equal); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSnapshotRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries, h := drawEntries(t), drawHead(t)
		s := setIn(h.Shards(), entries...)
		b := pack(t, s, h)
		got, err := OpenSnapshot(public, b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, got.Head, equal); diff != "" {
			t.Fatal(diff)
		}
		if got.Sum != ref(h.Seq) {
			t.Fatalf("sum %v", got.Sum)
		}
		if diff := cmp.Diff(s.Entries(), slices.Collect(got.Entries()), equal); diff != "" {
			t.Fatal(diff)
		}
		restored := got.Set(time.Unix(0, 0))
		if diff := cmp.Diff(s.Entries(), restored.Entries(), equal); diff != "" {
			t.Fatal(diff)
		}
		if got.Len() != s.Len() || restored.Len() != s.Len() {
			t.Fatalf("%d and %d revocations of %d", got.Len(), restored.Len(), s.Len())
		}
		if !bytes.Equal(b, pack(t, setIn(h.Shards(), rapid.Permutation(entries).Draw(t, "order")...), h)) {
			t.Fatal("equal sets packed to different bytes")
		}
	})
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func pack(t fataler, s *Set, h Head) []byte {
	t.Helper()
	b, err := s.Snapshot(h, ref(h.Seq), signer)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signedDelta(t fataler) []byte {
	t.Helper()
	e := revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0)
	b, err := (&Delta{Head: Head{Seq: 2}, Prev: 1, Entries: []Entry{e, lift(e)}}).Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signedSnapshot(t fataler) []byte {
	e := revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0)
	return pack(t, setOf(e, lift(e), revoke(2, feedKey("acme", 1), events.ScopeSubject, someone, ms(0))), Head{Seq: 2})
}

func TestEveryChangedBitIsRefused(t *testing.T) {
	t.Parallel()
	open := map[string]func([]byte) error{
		"delta":    func(b []byte) error { _, err := OpenDelta(public, b); return err },
		"snapshot": func(b []byte) error { _, err := OpenSnapshot(public, b); return err },
	}
	for name, message := range map[string][]byte{"delta": signedDelta(t), "snapshot": signedSnapshot(t)} {
		if err := open[name](message); err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(message) {
			b := bytes.Clone(message)
			b[bit/8] ^= 1 << (bit % 8)
			if err := open[name](b); !errors.Is(err, ErrSignature) {
				t.Fatalf("%s, bit %d: got %v", name, bit, err)
			}
		}
		for n := range len(message) {
			if err := open[name](message[:n]); !errors.Is(err, ErrSignature) {
				t.Fatalf("%s cut to %d: got %v", name, n, err)
			}
		}
	}
}

func TestSignatureOfAnotherKeyOrPurposeIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := OpenDelta(another.Public().(ed25519.PublicKey), signedDelta(t)); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: got %v", err)
	}
	if _, err := OpenDelta(nil, signedDelta(t)); !errors.Is(err, ErrSignature) {
		t.Errorf("no key: got %v", err)
	}
	if _, err := OpenDelta(public, signedSnapshot(t)); !errors.Is(err, ErrSignature) {
		t.Errorf("a snapshot as delta: got %v", err)
	}
	if _, err := OpenSnapshot(public, signedDelta(t)); !errors.Is(err, ErrSignature) {
		t.Errorf("a delta as snapshot: got %v", err)
	}
	body, signature, err := (&KeysReply{}).Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDelta(public, slices.Concat(signature, body)); !errors.Is(err, ErrSignature) {
		t.Errorf("keys as delta: got %v", err)
	}
}

func TestDeltaThatDoesNotFitIsNotSigned(t *testing.T) {
	t.Parallel()
	e := revoke(1, feedKey("acme", 1), events.ScopeToken, someone, 0)
	if _, err := (&Delta{Entries: slices.Repeat([]Entry{e}, MaxDeltaEntries+1)}).Sign(signer); err == nil {
		t.Error("too many entries")
	}
	e.Hash = events.Ref{}
	if _, err := (&Delta{Entries: []Entry{e}}).Sign(signer); !errors.Is(err, ErrFormat) {
		t.Errorf("entry without hash: got %v", err)
	}
}

func TestFullDeltaFitsAMessage(t *testing.T) {
	t.Parallel()
	d := &Delta{}
	for n := range uint64(MaxDeltaEntries) {
		e := revoke(n+1, feedKey("acme", 1), events.ScopeToken, someone, 0)
		e.Reason = string(bytes.Repeat([]byte{'x'}, events.MaxTextBytes-8)) + e.Reason[len(e.Reason)-1:] + fmt.Sprintf("%07d", n)
		d.Entries = append(d.Entries, e)
	}
	b, err := d.Sign(signer)
	if err != nil || len(b) > 1<<20 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
}

// TestHostileLengths: what a snapshot claims of its lengths takes no room that
// its own size does not allow.
func TestHostileLengths(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = z.Write(make([]byte, 64<<20))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	bomb, short := b.Bytes(), []byte{3, 0}
	sound := wireSnapshot{Version: Version, Counts: []uint64{1}, Hashes: bytes.Repeat([]byte{1}, 16), Keys: []KeyID{{Tenant: "acme"}}, Kinds: []wireKind{{Kind: kindLift, Flags: flagLifted}}}
	for name, change := range map[string]func(*wireSnapshot){
		"a long column":          func(w *wireSnapshot) { w.Columns = [][]byte{bomb, bomb, bomb, bomb, bomb} },
		"empty columns":          func(w *wireSnapshot) { w.Columns = [][]byte{short, short, short, short, short} },
		"no columns":             func(w *wireSnapshot) {},
		"many columns":           func(w *wireSnapshot) { w.Columns = slices.Repeat([][]byte{short}, 6) },
		"not compressed":         func(w *wireSnapshot) { w.Columns = slices.Repeat([][]byte{{0xff}}, 5) },
		"more than there are":    func(w *wireSnapshot) { w.Counts[0] = 1 << 60 },
		"counts that overflow":   func(w *wireSnapshot) { w.Counts, w.Others = []uint64{1<<64 - 1, 2}, make([]Place, 1) },
		"counts of other shards": func(w *wireSnapshot) { w.Counts = []uint64{1, 0} },
		"half a hash":            func(w *wireSnapshot) { w.Hashes = w.Hashes[:8] },
		"a kind without key":     func(w *wireSnapshot) { w.Kinds[0].Key = 1 },
	} {
		w := sound
		w.Counts, w.Kinds = slices.Clone(w.Counts), slices.Clone(w.Kinds)
		change(&w)
		payload, err := encoder.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = decodeSnapshot(payload); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// columnsOf are the columns of lifts at the given places.
func columnsOf(t *testing.T, places ...uint64) [][]byte {
	t.Helper()
	w := newColumnWriter()
	for _, index := range places {
		w.add(&logged{row: row{index: index, cutoff: endless, expires: endless}}, 0, &kind{})
	}
	columns, err := w.columns()
	if err != nil {
		t.Fatal(err)
	}
	return columns
}

func TestOneRevocationTwiceIsNotASnapshot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		places []uint64
		sound  bool
	}{{[]uint64{4, 5}, true}, {[]uint64{4, 4}, false}} {
		w := wireSnapshot{Version: Version, Counts: []uint64{2}, Hashes: bytes.Repeat([]byte{1}, 32), Keys: []KeyID{{Tenant: "acme"}},
			Kinds: []wireKind{{Kind: kindLift, Flags: flagLifted}}, Columns: columnsOf(t, c.places...)}
		payload, err := encoder.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = decodeSnapshot(payload); (err == nil) != c.sound {
			t.Errorf("at %d: %v", c.places, err)
		}
	}
}

// TestLargeSnapshot is one of several buckets.
func TestLargeSnapshot(t *testing.T) {
	t.Parallel()
	s := setOf()
	var all []Entry
	for n := range uint64(5 * bucketRows) {
		c := someone
		c.TokenID = fmt.Sprint(n)
		all = append(all, revoke(n, feedKey("acme", 1), events.ScopeToken, c, 0))
	}
	s.Apply(all...)
	opened, err := OpenSnapshot(public, pack(t, s, Head{}))
	if err != nil {
		t.Fatal(err)
	}
	loaded := opened.Set(t0)
	for i := range all {
		if !loaded.Holds(all[i].Hash, t0) || !s.Holds(all[i].Hash, t0) {
			t.Fatalf("revocation %d is not held", i)
		}
	}
	entries := loaded.Entries()
	if len(entries) != len(all) {
		t.Fatalf("%d entries, want %d", len(entries), len(all))
	}
	for i, e := range entries {
		if e != all[i] {
			t.Fatalf("entry %d is %+v, want %+v", i, e, all[i])
		}
	}
	if n := loaded.Sweep(t0.Add(time.Hour)); n != len(all) || loaded.Len() != 0 || len(loaded.kinds.numbers) != 0 {
		t.Fatalf("swept %d, left %d and %d kinds", n, loaded.Len(), len(loaded.kinds.numbers))
	}
}

// TestSnapshotIsReplayedFromAnyPoint: entries that came before or after it was
// packed may be applied again.
func TestSnapshotIsReplayedFromAnyPoint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t)
		at := rapid.IntRange(0, len(entries)).Draw(t, "packed at")
		from := rapid.IntRange(0, at).Draw(t, "replayed from")
		s, err := OpenSnapshot(public, pack(t, setOf(entries[:at]...), Head{}))
		if err != nil {
			t.Fatal(err)
		}
		loaded := s.Set(time.Unix(0, 0))
		loaded.Apply(entries[from:]...)
		if diff := cmp.Diff(setOf(entries...).Entries(), loaded.Entries(), equal); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(setOf(entries...).Missing(), setKeys(loaded).Missing(), equal); diff != "" {
			t.Fatal(diff)
		}
	})
}

func setKeys(s *Set) *Set {
	s.SetKeys([]events.FeedKey{feedKey("acme", 1)})
	return s
}

func TestKeysReply(t *testing.T) {
	t.Parallel()
	r := KeysReply{Keys: []events.FeedKey{feedKey("acme", 1)}, Time: 5}
	body, signature, err := r.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenKeys(public, body, signature)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&r, got); d != "" {
		t.Fatal(d)
	}
	for name, bad := range map[string][2][]byte{
		"no signature":    {body, nil},
		"changed body":    {append(bytes.Clone(body), ' '), signature},
		"moved signature": {body[1:], append(bytes.Clone(signature), body[0])},
	} {
		if _, err := OpenKeys(public, bad[0], bad[1]); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPagesHoldEveryKeyOnce(t *testing.T) {
	t.Parallel()
	var all []events.FeedKey
	for n := range 2*MaxKeysPage + 5 {
		k := events.FeedKey{Tenant: ref(uint64(n / 3)).String(), Generation: uint32(n%3) + 1}
		all = append(all, k)
	}
	slices.Reverse(all)
	seen := map[KeyPlace]bool{}
	for request, more := (KeysRequest{}), true; more; {
		page := request.PageKeys(all)
		for _, k := range page.Keys {
			if seen[place(&k)] {
				t.Fatal("a key came twice")
			}
			seen[place(&k)] = true
		}
		if more = page.More; more {
			request = page.Next()
		}
	}
	if len(seen) != len(all) {
		t.Fatalf("%d of %d keys", len(seen), len(all))
	}
}

// TestAFullPageOfKeysFitsAMessage: one that did not would never reach anybody.
func TestAFullPageOfKeysFitsAMessage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("t", events.MaxTenantBytes)
	all := make([]events.FeedKey, MaxKeysPage+1)
	for n := range all {
		all[n] = events.FeedKey{Tenant: long, Generation: math.MaxUint32 - uint32(n), Key: [16]byte(bytes.Repeat([]byte{0xff}, 16))}
	}
	page := new(KeysRequest).PageKeys(all)
	page.Time = math.MaxInt64
	body, signature, err := page.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	const payload, headers = 1 << 20, 1 << 10 // of the server by default, and more than the signature needs
	if size := len(body) + headers; !page.More || len(signature) > headers/2 || size > payload {
		t.Errorf("a page of %d keys takes %d bytes: a message has room for %d", len(page.Keys), size, payload)
	}
}

func FuzzDelta(f *testing.F) {
	f.Add(signedDelta(f)[ed25519.SignatureSize:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := decodeDelta(payload)
		if err != nil {
			return
		}
		b, err := d.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		again, err := OpenDelta(public, b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again, equal); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add(signedSnapshot(f)[ed25519.SignatureSize:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := decodeSnapshot(payload)
		if err != nil {
			return
		}
		set := NewSet(s.Shards())
		for e := range s.Entries() {
			if e.validate() != nil || e != e.whole() {
				t.Fatal("an entry that is not valid")
			}
			set.Apply(e)
		}
		loaded := s.Set(time.Unix(0, 0))
		if set.Len() != s.Len() || loaded.Len() != s.Len() {
			t.Fatalf("%d and %d revocations of %d", set.Len(), loaded.Len(), s.Len())
		}
		again, err := OpenSnapshot(public, pack(t, loaded, s.Head))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Collect(s.Entries()), slices.Collect(again.Entries()), equal); diff != "" {
			t.Fatal(diff)
		}
	})
}
