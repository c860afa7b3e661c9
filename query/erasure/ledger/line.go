package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Digest is the first 16 bytes of a SHA-256.
type Digest [16]byte

// DigestOf is the digest of what has no place in a ledger as it is.
func DigestOf(s string) Digest {
	sum := sha256.Sum256([]byte(s))
	return Digest(sum[:16])
}

// String is 32 hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Entry is a line: a [Person], a [Hold] or a [Seen].
type Entry interface{ fields() []string }

// Person says that the key behind a reference was destroyed.
type Person struct {
	Tenant  string
	Ref     events.Ref
	Key     string // fingerprint of the data key, 16 hex digits; empty where nobody knows
	Request Digest // of the id of the request that it was for
	Shard   uint16 // of the tenant
	Index   uint64 // log index, in the shard, that the request was at
	At      time.Time
	Held    bool              // a legal hold kept a part, or may have: the key is not to go without asking
	Refused events.Revocation // of their tokens; Hash is zero where there is none
}

// Hold says that a key beside those of people was destroyed: under which a hold kept
// something of a person, as it was released, or something was kept to tell others, as they
// were told.
type Hold struct {
	Tenant  string
	Key     events.Ref // names the key: of the hold and the person, the ask, or the notices
	Request Digest
	At      time.Time
}

// Seen says up to where a log was compared: the ledger holds all that it says was
// erased.
type Seen struct {
	Shard  uint16
	Seq    uint64 // of the last message of the control lane
	Digest Digest // of that message
	At     time.Time
}

// nothing stands for an empty field.
const nothing = "-"

func (p Person) fields() []string {
	held := nothing
	if p.Held {
		held = "held"
	}
	return []string{
		"person", p.Tenant, hexOf(p.Ref), orNothing(p.Key), p.Request.String(), decimal(p.Shard), decimal(p.Index), decimal(p.At.UnixMicro()), held,
		hexOf(p.Refused.Hash), decimal(p.Refused.FeedKey), decimal(p.Refused.IssuedBefore), decimal(p.Refused.Expires),
	}
}

func (h Hold) fields() []string {
	return []string{"hold", h.Tenant, hexOf(h.Key), h.Request.String(), decimal(h.At.UnixMicro())}
}

func (s Seen) fields() []string {
	return []string{"seen", decimal(s.Shard), decimal(s.Seq), s.Digest.String(), decimal(s.At.UnixMicro())}
}

func orNothing(s string) string {
	if s == "" {
		return nothing
	}
	return s
}

func hexOf(r events.Ref) string { return hex.EncodeToString(r[:]) }

func decimal[T ~uint16 | ~uint32 | ~uint64 | ~int64](n T) string {
	if n < 0 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatUint(uint64(n), 10)
}

var errLine = errors.New("not a line of a ledger")

// parse reads what fields wrote.
func parse(line string) (Entry, error) {
	kind, rest, _ := strings.Cut(line, " ")
	r := reader{rest: rest}
	var e Entry
	switch kind {
	case "person":
		e = r.person()
	case "hold":
		e = Hold{Tenant: r.word(), Key: r.ref(), Request: Digest(r.ref()), At: r.time()}
	case "seen":
		e = Seen{Shard: uint16(r.number(16)), Seq: r.number(64), Digest: Digest(r.ref()), At: r.time()}
	default:
		return nil, fmt.Errorf("%w: it is none that is known", errLine)
	}
	if r.rest != "" || strings.Contains(line, "\n") {
		r.err = errors.Join(r.err, errLine)
	}
	return e, r.err
}

// reader takes one field after the other; the first that is not as it should be
// is its error.
type reader struct {
	rest string
	err  error
}

func (r *reader) person() Person {
	return Person{
		Tenant: r.word(), Ref: r.ref(), Key: r.text(), Request: Digest(r.ref()), Shard: uint16(r.number(16)), Index: r.number(64),
		At: r.time(), Held: r.text() != "", Refused: r.revocation(),
	}
}

func (r *reader) revocation() events.Revocation {
	v := events.Revocation{Hash: r.ref(), FeedKey: uint32(r.number(32)), IssuedBefore: events.Timestamp(r.number(63)), Expires: events.Timestamp(r.number(63))}
	if !v.Hash.IsZero() {
		v.Scope = events.ScopeSubject
	}
	return v
}

func (r *reader) word() (field string) {
	field, r.rest, _ = strings.Cut(r.rest, " ")
	if field == "" {
		r.err = errors.Join(r.err, errLine)
	}
	return field
}

// text is a word that may stand for nothing.
func (r *reader) text() string {
	if field := r.word(); field != nothing {
		return field
	}
	return ""
}

func (r *reader) ref() (ref events.Ref) {
	field := r.word()
	n, err := hex.Decode(ref[:], []byte(field[:min(len(field), 2*len(ref))]))
	if err != nil || n != len(ref) || len(field) != 2*n {
		r.err = errors.Join(r.err, errLine)
	}
	return ref
}

func (r *reader) number(bits int) uint64 {
	n, err := strconv.ParseUint(r.word(), 10, bits)
	if err != nil {
		r.err = errors.Join(r.err, errLine)
	}
	return n
}

func (r *reader) time() time.Time { return time.UnixMicro(int64(r.number(63))).UTC() }
