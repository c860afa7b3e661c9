package events

import (
	"encoding/binary"

	"github.com/dchest/siphash"
)

// FeedKey is one generation of a tenant's feed key: what turns identifiers
// into the hashes of the revocation set. It reaches verifiers over the
// authenticated feed and is never written to a stream.
type FeedKey struct {
	Tenant     string   `json:"tenant"`
	Generation uint32   `json:"generation"` // from 1
	Key        [16]byte `json:"key"`
}

// The generations of feed keys that do not rotate, for revocations without an end:
// see seal.Tenant. The last is the greatest that ParseGeneration reads.
const (
	FirstStanding uint32 = 900_000_000
	LastStanding  uint32 = 999_999_999
)

// Standing reports whether a generation is one that does not rotate.
func Standing(generation uint32) bool { return generation >= FirstStanding }

// Hash is SipHash-2-4-128 under k of the scope and the identifiers that it is
// made of, each with its length before it: (iss, jti) for a token, (iss, sid)
// for a session, (iss, sub) for a subject, (iss, kid) for a key, (iss) for an
// issuer, none for a tenant. What a scope is not made of is left out, so that
// a tenant's revocation that also names an issuer hashes as every other one.
// It does not allocate for identifiers within MaxTextBytes.
func (k *FeedKey) Hash(scope Scope, issuer, id string) Ref {
	switch scope {
	case ScopeTenant:
		issuer, id = "", ""
	case ScopeIssuer:
		id = ""
	}
	if len(issuer)+len(id) > shortHash {
		return k.hashLong(scope, issuer, id)
	}
	var room [hashRoom + shortHash]byte
	return k.sum(append(appendScoped(room[:0], scope, issuer), id...))
}

const (
	hashRoom  = 1 + 7 + 4 // length of a scope, the longest scope, length of the issuer
	shortHash = 180       // what nearly every pair of identifiers fits
)

// appendScoped is what is hashed of scope and issuer.
func appendScoped(b []byte, scope Scope, issuer string) []byte {
	b = append(append(b, byte(len(scope))), scope...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(issuer))), issuer...)
}

// hashLong has a stack frame for the longest identifiers, which the short ones
// should not pay for.
//
//go:noinline
func (k *FeedKey) hashLong(scope Scope, issuer, id string) Ref {
	b := make([]byte, 0, hashRoom+2*MaxTextBytes)
	return k.sum(append(appendScoped(b, scope, issuer), id...))
}

func (k *FeedKey) sum(b []byte) (r Ref) {
	lo, hi := siphash.Hash128(binary.LittleEndian.Uint64(k.Key[:8]), binary.LittleEndian.Uint64(k.Key[8:]), b)
	binary.LittleEndian.PutUint64(r[:8], lo)
	binary.LittleEndian.PutUint64(r[8:], hi)
	return r
}

// HashPrefix is FeedKey.Hash on its way: done for a scope and an issuer, of which
// one token after the other has the same. It is never changed.
type HashPrefix struct {
	behind sip
	alone  bool // no identifier follows
}

// Prefix begins the hashes of a scope and an issuer.
func (k *FeedKey) Prefix(scope Scope, issuer string) HashPrefix {
	if scope == ScopeTenant {
		issuer = ""
	}
	return HashPrefix{newSip(&k.Key, appendScoped(nil, scope, issuer)), scope == ScopeIssuer || scope == ScopeTenant}
}

// Hash is what FeedKey.Hash is with that identifier.
func (p *HashPrefix) Hash(id string) Ref {
	if p.alone {
		id = ""
	}
	return p.behind.sum(id)
}

// RevokedID is the identifier that a revocation of scope s is about, within
// its issuer.
func (d *Data) RevokedID(s Scope) string {
	switch s {
	case ScopeToken:
		return d.TokenID
	case ScopeSession:
		return d.SessionID
	case ScopeSubject:
		return d.Subject
	case ScopeClient:
		return d.ClientID
	case ScopeKey:
		return d.KeyID
	case ScopeGrant:
		return d.GrantID
	default:
		return ""
	}
}
