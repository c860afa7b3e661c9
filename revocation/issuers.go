package revocation

import (
	"strings"
	"sync/atomic"

	"github.com/rescindhq/rescind/events"
)

// issuers remembers, of one feed key, the hashes of issuers: a tenant's tokens
// come from one issuer or a few, and half of what is hashed for a token is the
// same for all of an issuer. The first ones that are met are kept, and none
// makes room for another, so that nobody can keep readers busy by naming many.
type issuers [maxIssuers]atomic.Pointer[issuer]

const (
	maxIssuers    = 16
	longestIssuer = events.MaxTextBytes
)

// issuer is what all hashes of one have in common.
type issuer struct {
	name  string
	alone hash // of revocations of the issuer itself
	of    [len(scopes)]events.HashPrefix
}

func newIssuer(k *events.FeedKey, name string) *issuer {
	h := k.Hash(events.ScopeIssuer, name, "")
	i := &issuer{name: strings.Clone(name), alone: hashOf(&h)}
	for rank, scope := range scopes {
		i.of[rank] = k.Prefix(scope, name)
	}
	return i
}

// get is what is kept of the issuer, or nil: there is no room, or its name is
// longer than one that a revocation can be about.
func (is *issuers) get(k *events.FeedKey, name string) *issuer {
	for at := range is {
		i := is[at].Load()
		if i == nil {
			return is.learn(at, k, name)
		}
		if i.name == name {
			return i
		}
	}
	return nil
}

func (is *issuers) learn(at int, k *events.FeedKey, name string) *issuer {
	if name == "" || len(name) > longestIssuer {
		return nil
	}
	i := newIssuer(k, name)
	is[at].CompareAndSwap(nil, i) // or another was faster, and this one is used once
	return i
}
