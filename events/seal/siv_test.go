package seal

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSIVVector is RFC 5297, A.1. Its keys are of AES-128.
func TestSIVVector(t *testing.T) {
	t.Parallel()
	s := newSIVOf(mustBlock(unhex(t, "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0")), mustBlock(unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")))
	plain := unhex(t, "112233445566778899aabbccddee")
	w := &sivScratch{aad: unhex(t, "101112131415161718191a1b1c1d1e1f2021222324252627")}
	s.authenticate(w, plain)
	tag := w.tag
	s.crypt(w, plain)
	if got := hex.EncodeToString(append(tag[:], plain...)); got != "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c" {
		t.Errorf("got %s", got)
	}
}

// TestSIVAccumulated compares with what AESSIV of tink-go v2.9.0 made of the
// same: plain parts and additional data of 0 to 255 bytes.
func TestSIVAccumulated(t *testing.T) {
	t.Parallel()
	in, out := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	next := func(n int) []byte {
		b := make([]byte, n)
		in.Read(b)
		return b
	}
	for range 10_000 {
		k := dataKey(next(sivKeySize))
		plain := next(int(next(1)[0]))
		w := &sivScratch{aad: next(int(next(1)[0]))}
		s, was := newSIV(&k), bytes.Clone(plain)
		s.authenticate(w, plain)
		if !bytes.Equal(was, plain) {
			t.Fatal("the plain part was changed")
		}
		out.Write(w.tag[:])
		s.crypt(w, plain)
		out.Write(plain)
	}
	sum := make([]byte, 32)
	out.Read(sum)
	if got := hex.EncodeToString(sum); got != "8c5d52ac568ff16f74badc5ba38daa6ef5b820216f93292a01e2c5ce60cb5c3f" {
		t.Errorf("got %s", got)
	}
}

func TestSIVRefusesChangedBytes(t *testing.T) {
	t.Parallel()
	k := newDataKey()
	s := newSIV(&k)
	for n := range 40 {
		plain := bytes.Repeat([]byte{'p'}, n)
		sealed := append(make([]byte, 16), plain...)
		s.sealIn(sealed, []string{"tenant", "source", "id"})
		if got, err := s.open(sealed, "tenant", "source", "id"); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: %q, %v", n, got, err)
		}
		for bit := range 8 * len(sealed) {
			changed := bytes.Clone(sealed)
			changed[bit/8] ^= 1 << (bit % 8)
			if plain, err := s.open(changed, "tenant", "source", "id"); !errors.Is(err, ErrSealed) || plain != nil {
				t.Fatalf("%d bytes, bit %d: %q, %v; want ErrSealed", n, bit, plain, err)
			}
		}
		for cut := range sealed {
			if _, err := s.open(sealed[:cut], "tenant", "source", "id"); !errors.Is(err, ErrSealed) {
				t.Fatalf("%d of %d bytes: %v, want ErrSealed", cut, len(sealed), err)
			}
		}
	}
}

// TestSealingAgain: the same part of the same event is the same bytes, and
// nothing else is.
func TestSealingAgain(t *testing.T) {
	t.Parallel()
	one, two := SubjectKey{Generation: 1, key: newDataKey()}, SubjectKey{Generation: 1, key: newDataKey()}
	seal := func(s SubjectKey, tenant, source, id, plain string) string {
		b, err := s.Seal(tenant, source, id, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > maxSealed(len(plain)) {
			t.Fatalf("%d bytes of %d", len(b), len(plain))
		}
		return string(b)
	}
	first := seal(one, "acme", "src", "id", "the plain part of an event")
	if again := seal(one, "acme", "src", "id", "the plain part of an event"); again != first {
		t.Error("sealed again it is something else")
	}
	for _, other := range []string{
		seal(two, "acme", "src", "id", "the plain part of an event"),
		seal(one, "acmes", "rc", "id", "the plain part of an event"),
		seal(one, "acme", "sr", "cid", "the plain part of an event"),
		seal(one, "acme", "src", "ie", "the plain part of an event"),
		seal(one, "acme", "src", "id", "The plain part of an event"),
	} {
		same := 0
		for i := 1; i < len(first); i++ {
			if first[i] == other[i] {
				same++
			}
		}
		if same > 12 { // of 42, by chance: once in 10^17
			t.Errorf("%d bytes of the same", same)
		}
	}
}

func TestSealToAppends(t *testing.T) { // not parallel: it counts allocations
	s := SubjectKey{Generation: 1, key: newDataKey()}
	s.ready = newSIV(&s.key)
	plain := []byte("plain part")
	alone, err := s.Seal("acme", "src", "id", plain)
	if err != nil {
		t.Fatal(err)
	}
	dst := append(make([]byte, 0, 100), "before"...)
	got, err := s.SealTo(dst, "acme", "src", "id", plain)
	if err != nil || string(got) != "before"+string(alone) || string(plain) != "plain part" {
		t.Errorf("%q, %v", got, err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = s.SealTo(dst[:0], "acme", "src", "id", plain) }); n > 0.5 {
		t.Errorf("%.1f allocations", n)
	}
}

// TestReadyCiphersGoWithTheirKey: they are kept for those who were in a batch,
// up to a bound, and go when the person does.
func TestReadyCiphersGoWithTheirKey(t *testing.T) {
	t.Parallel()
	k := &Keyring{
		subjects: newCache[handle, known](100, time.Minute, time.Now),
		ciphers:  newCache[handle, ready](10, time.Minute, time.Now),
	}
	p := known{ref: events.Ref{1}, generation: 1, key: newDataKey()}
	at := []seat{{handle: handle{1}}, {handle: handle{2}}}
	k.subjects.put(at[0].handle, p, 0)
	first, second := []SubjectKey{p.subjectKey()}, []SubjectKey{p.subjectKey(), {Erased: true}}
	k.makeReady(at[:1], first, k.subjects.mark())
	k.makeReady(at, second, k.subjects.mark())
	if first[0].ready == nil || first[0].ready != second[0].ready {
		t.Error("the cipher was not kept")
	}
	if second[1].ready != nil {
		t.Error("a cipher for somebody who was erased")
	}
	for name, other := range map[string]SubjectKey{"reference": {Ref: events.Ref{9}, Generation: 1}, "generation": {Ref: p.ref, Generation: 2}} {
		was, got := []SubjectKey{p.subjectKey()}, []SubjectKey{other}
		k.makeReady(at[:1], was, k.subjects.mark())
		if k.makeReady(at[:1], got, k.subjects.mark()); got[0].ready == was[0].ready {
			t.Errorf("the cipher of another %s", name)
		}
	}
	k.evict(handle{1})
	if k.ciphers.len() != 0 {
		t.Error("the cipher is there and the person is not")
	}
	for i := range 100 {
		k.makeReady([]seat{{handle: handle{2, byte(i)}}}, []SubjectKey{{Ref: events.Ref{2}, Generation: 1}}, k.subjects.mark())
	}
	if n := k.ciphers.len(); n > 11 {
		t.Errorf("%d ciphers, want at most 10", n)
	}
}
