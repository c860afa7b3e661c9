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
	var h IssuerHasher
	h.Reset(k, issuer)
	return h.Hash(scope, id)
}

const (
	scopeRoom = 1 + 7         // length of a scope and the longest scope
	hashRoom  = scopeRoom + 4 // and the length of the issuer
	shortHash = 192           // what nearly every pair of identifiers fits
)

// IssuerHasher makes the hashes that FeedKey.Hash does, of the identifiers of one
// issuer, which it lays out once. It is of one goroutine, and needs Reset first.
type IssuerHasher struct {
	k      *FeedKey
	issuer string
	end    int // of the issuer in b
	// The scope ends, with its length before it, where the length of the issuer
	// begins; after the issuer comes the identifier.
	b [shortHash]byte
}

// Reset prepares h for the identifiers of issuer.
func (h *IssuerHasher) Reset(k *FeedKey, issuer string) {
	h.k, h.issuer, h.end = k, issuer, hashRoom+len(issuer)
	if h.end <= shortHash {
		binary.LittleEndian.PutUint32(h.b[scopeRoom:], uint32(len(issuer)))
		copy(h.b[hashRoom:], issuer)
	}
}

// Hash is what FeedKey.Hash is.
func (h *IssuerHasher) Hash(scope Scope, id string) Ref {
	end := h.end + len(id)
	switch {
	case scope == ScopeIssuer:
		end = h.end
	case scope == ScopeTenant:
		return h.k.sum([]byte("\x06tenant\x00\x00\x00\x00"))
	}
	if end > shortHash {
		return h.k.hashLong(scope, h.issuer, id)
	}
	from := scopeRoom - 1 - len(scope)
	h.b[from] = byte(len(scope))
	copy(h.b[from+1:scopeRoom], scope)
	copy(h.b[h.end:end], id)
	return h.k.sum(h.b[from:end])
}

// hashLong has a stack frame for the longest identifiers, which the short ones
// should not pay for.
//
//go:noinline
func (k *FeedKey) hashLong(scope Scope, issuer, id string) Ref {
	if scope == ScopeIssuer {
		id = ""
	}
	b := make([]byte, 0, hashRoom+2*MaxTextBytes)
	b = append(b, byte(len(scope)))
	b = append(b, scope...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(issuer)))
	b = append(b, issuer...)
	b = append(b, id...)
	return k.sum(b)
}

func (k *FeedKey) sum(b []byte) (r Ref) {
	lo, hi := siphash.Hash128(binary.LittleEndian.Uint64(k.Key[:8]), binary.LittleEndian.Uint64(k.Key[8:]), b)
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
