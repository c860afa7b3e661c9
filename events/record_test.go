package events

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestRecordHasOneEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := UnmarshalRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// drawRecord draws records in which each member is empty about half the time.
func drawRecord(t *rapid.T) *Record {
	text := rapid.OneOf(rapid.Just(""), rapid.StringN(0, 12, 40), rapid.StringN(20, 300, -1))
	number := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64(), rapid.Int64Range(-300, 300))
	list := rapid.SliceOfN(text, 0, 3)
	ref := func(name string) (r Ref) {
		copy(r[:], rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 16)).Draw(t, name))
		return r
	}
	r := &Record{Version: RecordVersion}
	for i, to := range []*string{
		&r.Source, &r.ID, &r.Tenant, &r.Environment, (*string)(&r.Type), &r.Issuer, &r.Client, &r.KeyID, &r.Algorithm, &r.Scope,
		&r.Actor, &r.Outcome, &r.Reason, &r.Consent, &r.Ticket,
	} {
		*to = text.Draw(t, fmt.Sprint("text", i))
	}
	for i, to := range []*int64{&r.Time, &r.Received, (*int64)(&r.IssuedAt), (*int64)(&r.Expires), (*int64)(&r.NotBefore)} {
		*to = number.Draw(t, fmt.Sprint("number", i))
	}
	r.View, r.DataKey = uint64(number.Draw(t, "view")), rapid.Uint32().Draw(t, "key")
	r.SubjectRef, r.TokenRef, r.SessionRef, r.GrantRef = ref("subject"), ref("token"), ref("session"), ref("grant")
	r.Audience, r.Claims, r.Purposes = list.Draw(t, "aud"), list.Draw(t, "claims"), list.Draw(t, "purposes")
	r.Attributes = rapid.MapOfN(text, text, 0, 30).Draw(t, "attributes")
	copy(r.PayloadHash[:], rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "payload"))
	if rapid.Bool().Draw(t, "revokes") {
		r.Revocation = &Revocation{
			Scope: Scope(text.Draw(t, "scope")), Hash: ref("hash"), IssuedBefore: Timestamp(number.Draw(t, "cutoff")),
			Expires: Timestamp(number.Draw(t, "expires")), FeedKey: rapid.Uint32().Draw(t, "feed key"), Lifts: ref("lifts"),
			LiftsIndex: rapid.Uint64().Draw(t, "lifts index"), Starts: Timestamp(number.Draw(t, "starts")), NotAfter: Timestamp(number.Draw(t, "not after")),
		}
	}
	return r
}

func TestRecordInAnotherEncodingIsRefused(t *testing.T) {
	r := &Record{Version: RecordVersion, Tenant: "acme", Attributes: map[string]string{"a": "1"}}
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		broken := append([]byte(nil), b...)
		broken[i] ^= 0x40
		if got, err := UnmarshalRecord(broken); err == nil {
			again, _ := got.Marshal()
			if !cmp.Equal(again, broken) {
				t.Fatalf("byte %d: accepted bytes that encode differently", i)
			}
		}
	}
	if _, err := UnmarshalRecord(append(b, 0)); err == nil {
		t.Fatal("trailing byte accepted")
	}
}

func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := map[uint64]bool{}
		var ranges []Range
		for _, s := range rapid.SliceOf(rapid.Uint64Range(1, 40)).Draw(t, "seqs") {
			in[s] = true
			ranges = AddToRanges(ranges, s)
		}
		for i, r := range ranges {
			if r.First > r.Last || i > 0 && ranges[i-1].Last+1 >= r.First {
				t.Fatalf("ranges touch or are out of order: %v", ranges)
			}
		}
		for s := range uint64(42) {
			if InRanges(ranges, s) != in[s] {
				t.Fatalf("seq %d: got %v of %v", s, !in[s], ranges)
			}
		}
	})
}

func TestRecordEncodedAnotherWayIsRefused(t *testing.T) {
	t.Parallel()
	b, err := (&Record{Version: RecordVersion, Tenant: "acme", SubjectRef: Ref{7}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	pairs := int(b[0] & 0x1f) // so few that the first byte holds the count
	more := append([]byte{b[0] + 1}, b[1:]...)
	ref := bytes.Index(b, []byte{10, 0x50, 7})
	for name, other := range map[string][]byte{
		"a longer integer":    append([]byte{b[0], 1, 0x18, 1}, b[3:]...),
		"a longer map header": append([]byte{0xb8, byte(pairs)}, b[1:]...),
		"keys out of order":   append(append([]byte{b[0]}, b[3:]...), b[1:3]...),
		"an empty member":     append(bytes.Clone(more), 33, 0x60),
		"a key said twice":    append(bytes.Clone(more), 1, 1),
		"an unknown key":      append(bytes.Clone(more), 0x18, 200, 1),
		"an endless map":      append(append([]byte{0xbf}, b[1:]...), 0xff),
		"a tag":               append([]byte{0xc1}, b...),
		"a short reference":   append(append(bytes.Clone(b[:ref]), 10, 0x4f), b[ref+3:]...),
		"another version":     append([]byte{b[0], 1, 2}, b[3:]...),
	} {
		if _, err := UnmarshalRecord(other); err == nil {
			t.Errorf("%s: %x was accepted", name, other)
		}
	}
	if _, err := UnmarshalRecord(b); err != nil || ref < 0 {
		t.Errorf("unchanged: %v, reference at %d", err, ref)
	}
}

// A record, a revocation and a batch have all the members that are always
// there, and no batch or personal part has a second encoding either.
func TestWhatIsNotTheOneEncodingIsRefused(t *testing.T) {
	t.Parallel()
	r := &Record{Version: RecordVersion, Revocation: &Revocation{}}
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for key := byte(1); key <= always; key++ {
		at := 1
		for b[at] != key { // the values before 27 take one byte each
			at += 2
		}
		less := append([]byte{b[0] - 1}, b[1:]...)
		if _, err := UnmarshalRecord(append(less[:at:at], less[at+2:]...)); err == nil {
			t.Errorf("a record without key %d was accepted", key)
		}
	}
	if _, err := UnmarshalRecord(append(b[:len(b)-len(r.Revocation.appendTo(nil)):len(b)], 0xa0)); err == nil {
		t.Error("a revocation of nothing was accepted")
	}
	batch, _ := smallBatch().Marshal()
	if _, err := UnmarshalBatch(append(bytes.Clone(batch), 0)); err == nil {
		t.Error("a batch with something after it was accepted")
	}
	if batch[3] != 1 || batch[4] != 1 {
		t.Fatalf("%x: the version is elsewhere", batch[:8])
	}
	if _, err := UnmarshalBatch(append(append(bytes.Clone(batch[:4]), 0x18, 1), batch[5:]...)); err == nil {
		t.Error("a batch with a longer integer was accepted")
	}
	for name, b := range map[string][]byte{
		"an empty member": {0xa1, 1, 0x60}, "no claims": {0xa1, 8, 0xa0}, "an unknown key": {0xa1, 9, 0x61, 'a'}, "keys out of order": {0xa2, 2, 0x61, 'a', 1, 0x61, 'a'},
		"claims out of order": {0xa1, 8, 0xa2, 0x61, 'b', 1, 0x61, 'a', 1}, "a wider float": {0xa1, 8, 0xa1, 0x61, 'a', 0xfa, 0x3f, 0xc0, 0, 0},
		"not a number": {0xa1, 8, 0xa1, 0x61, 'a', 0xf9, 0x7e, 0}, "undefined": {0xa1, 8, 0xa1, 0x61, 'a', 0xf7}, "bytes": {0xa1, 8, 0xa1, 0x61, 'a', 0x41, 0},
		"a tag": {0xa1, 8, 0xa1, 0x61, 'a', 0xc0, 0x60}, "something after it": {0xa0, 0}, "nothing": {}, "not UTF-8": {0xa1, 1, 0x61, 0xff},
		"endless": {0xbf, 0xff}, "nested too deep": append([]byte{0xa1, 8, 0xa1, 0x61, 'a'}, append(bytes.Repeat([]byte{0x81}, 20), 1)...),
	} {
		if _, err := UnmarshalPersonal(b); err == nil {
			t.Errorf("personal part, %s: accepted", name)
		}
	}
	if _, err := UnmarshalPersonal([]byte{0xa1, 8, 0xa1, 0x61, 'a', 0xf9, 0x3e, 0}); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// What may be left out must be, where it is empty.
func TestEmptyMembersAreRefused(t *testing.T) {
	t.Parallel()
	b, err := (&Record{Version: RecordVersion}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	with := func(key byte, value ...byte) []byte {
		out := append([]byte{b[0] + 1}, b[1:]...)
		if key >= 24 {
			out = append(out, 0x18)
		}
		return append(append(out, key), value...)
	}
	text, list, number := []byte{0x60}, []byte{0x80}, []byte{0}
	ref, hash := append([]byte{0x50}, make([]byte, 16)...), append([]byte{0x58, 32}, make([]byte, 32)...)
	for key, empty := range map[byte][]byte{
		9: text, 10: ref, 11: ref, 12: ref, 13: text, 14: text, 15: text, 16: list, 17: text, 18: number, 19: number, 20: text, 21: text, 22: text,
		23: {0xa0}, 24: number, 25: hash, 26: number, 28: number, 29: list, 30: ref, 31: text, 32: list, 33: text,
	} {
		if _, err := UnmarshalRecord(with(key, empty...)); err == nil {
			t.Errorf("key %d, empty: accepted", key)
		}
		full := append([]byte(nil), empty...)
		switch full[0] {
		case 0x60, 0x80:
			full = append([]byte{full[0] + 1}, 0x61, 'a')
			if empty[0] == 0x60 {
				full = []byte{0x61, 'a'}
			}
		case 0xa0:
			full = []byte{0xa1, 0x61, 'a', 0x60}
		default:
			full[len(full)-1] = 1
		}
		if _, err := UnmarshalRecord(with(key, full...)); err != nil {
			t.Errorf("key %d: %v", key, err)
		}
	}
	r := &Record{Version: RecordVersion, Revocation: &Revocation{}}
	b, _ = r.Marshal()
	v := r.Revocation.appendTo(nil)
	longer := append([]byte{v[0] + 1}, v[1:]...)
	if _, err := UnmarshalRecord(append(append(b[:len(b)-len(v):len(b)-len(v)], longer...), append([]byte{6}, ref...)...)); err == nil {
		t.Error("a revocation that lifts nothing was accepted")
	}
}

func TestRecordsAreUTF8(t *testing.T) {
	t.Parallel()
	for _, r := range []Record{{ID: "\xff"}, {Tenant: "\xff"}, {Claims: []string{"\xff"}}, {Attributes: map[string]string{"\xff": ""}}, {Attributes: map[string]string{"a": "\xff"}}} {
		r.Version = RecordVersion
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := UnmarshalRecord(b); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
}

// CheckRecord says of any bytes what UnmarshalRecord says, in the same words.
func TestRecordsAreCheckedAsTheyAreRead(t *testing.T) {
	t.Parallel()
	say := func(err error) string { return fmt.Sprint(err) }
	read, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		whole, err := drawRecord(t).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b := whole
		for range 50 {
			_, want := UnmarshalRecord(b)
			if got := CheckRecord(b); say(got) != say(want) {
				t.Fatalf("%x: checked %v, read %v", b, got, want)
			}
			if want == nil {
				read++
			} else {
				refused++
				b = whole // what is refused stays refused, mostly for the same reason
			}
			b = bytes.Clone(b)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			b = b[:len(b)-rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "cut")]
		}
	})
	if read < 100 || refused < 100 {
		t.Errorf("%d read, %d refused: the cases say too little", read, refused)
	}
}

// TestMayName: whoever the record does not name in what they say of a person may be
// that person, however they are written next time.
func TestMayName(t *testing.T) {
	t.Parallel()
	subjects := []string{"user-112233", "Änne-1122", "bob", "Al@x.org", " alice", "user%2D112233", "ſtraße-K", "Ⱥ@bc", "王小明", "", "      "}
	rapid.Check(t, func(t *rapid.T) {
		subject := rapid.SampledFrom(subjects).Draw(t, "subject")
		escape := rapid.SampledFrom([]func(string) string{
			strings.Clone, url.PathEscape, func(s string) string { return url.PathEscape(url.PathEscape(s)) },
			func(s string) string { return strings.ToLower(url.PathEscape(s)) }, strings.ToUpper,
		}).Draw(t, "escape")
		actor := rapid.SampledFrom([]string{"", " ", "user:", "https://pod.example/", "x"}).Draw(t, "before") + escape(subject) + rapid.SampledFrom([]string{"", " ", "@corp.example", "x", "\u0345"}).Draw(t, "after")
		again := rapid.SampledFrom([]func(string) string{strings.Clone, strings.ToLower, strings.ToUpper, func(s string) string { return " " + s }}).Draw(t, "again")(actor)
		said := Event{Data: Data{Actor: actor, Subject: subject}}
		if said.Data.Actor != "" && NewRecord(&said, "", now).Actor != actor && !MayName(again, subject) {
			t.Fatalf("%q did something to %q, and %q is somebody else", actor, subject, again)
		}
	})
	for actor, subject := range map[string]string{
		"officer": "user-112233", "user-1122334": "user-112233", "bob.b": "bob", "bobby": "bob",
	} {
		if MayName(actor, subject) {
			t.Errorf("%q is taken for %q", actor, subject)
		}
	}
}
