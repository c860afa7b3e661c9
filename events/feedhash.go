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
	if hashOverhead+len(issuer)+len(id) > shortHash {
		return k.hashLong(scope, issuer, id)
	}
	var buf [shortHash]byte
	return k.hash(buf[:0], scope, issuer, id)
}

const (
	hashOverhead = 1 + 7 + 4 // length of the scope, the longest scope, length of the issuer
	shortHash    = 192       // what nearly every pair of identifiers fits
)

// hashLong has a stack frame for the longest identifiers, which the short ones
// should not pay for.
//
//go:noinline
func (k *FeedKey) hashLong(scope Scope, issuer, id string) Ref {
	var buf [hashOverhead + 2*MaxTextBytes]byte
	return k.hash(buf[:0], scope, issuer, id)
}

func (k *FeedKey) hash(b []byte, scope Scope, issuer, id string) Ref {
	b = append(b, byte(len(scope)))
	b = append(b, scope...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(issuer)))
	b = append(b, issuer...)
	b = append(b, id...)
	lo, hi := siphash.Hash128(binary.LittleEndian.Uint64(k.Key[:8]), binary.LittleEndian.Uint64(k.Key[8:]), b)
	var r Ref
	binary.LittleEndian.PutUint64(r[:8], lo)
	binary.LittleEndian.PutUint64(r[8:], hi)
	return r
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
