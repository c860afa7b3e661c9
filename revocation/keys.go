package revocation

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rescindhq/rescind/events"
)

// MaxKeysPage bounds one answer with feed keys, so that it fits a message of
// 1 MiB, also where each is of a tenant with the longest name.
const MaxKeysPage = 5000

// KeysRequest asks for feed keys. An empty request body means the zero value.
type KeysRequest struct {
	After   KeyPlace `json:"after,omitzero"`    // where the page before this one ended
	Tenants []string `json:"tenants,omitempty"` // whose keys; none means everybody's
}

// KeyPlace is a place in the order of feed keys: by tenant, then generation.
type KeyPlace struct {
	Tenant     string `json:"tenant"`
	Generation uint32 `json:"generation"`
}

// KeysReply answers a KeysRequest.
type KeysReply struct {
	Keys []events.FeedKey `json:"keys"`
	More bool             `json:"more,omitempty"` // ask again, after the last of these
	Time int64            `json:"time"`           // µs, the projector's clock
}

// PageKeys is the page of keys that r asks for.
func (r *KeysRequest) PageKeys(keys []events.FeedKey) KeysReply {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k events.FeedKey) bool { return !r.wants(k.Tenant) })
	sorted := slices.SortedFunc(slices.Values(keys), func(a, b events.FeedKey) int { return place(&a).compare(place(&b)) })
	first, found := slices.BinarySearchFunc(sorted, r.After, func(k events.FeedKey, p KeyPlace) int { return place(&k).compare(p) })
	if found {
		first++
	}
	page := sorted[first:]
	more := len(page) > MaxKeysPage
	return KeysReply{Keys: page[:min(len(page), MaxKeysPage)], More: more}
}

func (r *KeysRequest) wants(tenant string) bool {
	return len(r.Tenants) == 0 || slices.Contains(r.Tenants, tenant)
}

// Next asks for the page behind r, of everybody's keys.
func (r *KeysReply) Next() KeysRequest { return KeysRequest{After: place(&r.Keys[len(r.Keys)-1])} }

func place(k *events.FeedKey) KeyPlace { return KeyPlace{k.Tenant, k.Generation} }

func (p KeyPlace) compare(o KeyPlace) int {
	return cmp.Or(cmp.Compare(p.Tenant, o.Tenant), cmp.Compare(p.Generation, o.Generation))
}

// Sign is r as it travels: a JSON body and, beside it, the signature.
func (r *KeysReply) Sign(key ed25519.PrivateKey) (body, signature []byte, err error) {
	body, err = json.Marshal(r)
	if err != nil {
		return nil, nil, fmt.Errorf("sign feed keys: %w", err)
	}
	return body, ed25519.Sign(key, purposeKeys.digest(body)), nil
}

// OpenKeys reads what Sign wrote, if key signed it.
func OpenKeys(key ed25519.PublicKey, body, signature []byte) (*KeysReply, error) {
	if _, err := purposeKeys.open(key, slices.Concat(signature, body)); err != nil || len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("open feed keys: %w", ErrSignature)
	}
	r := new(KeysReply)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("open feed keys: %w: not JSON", ErrFormat) // the cause could repeat a key
	}
	if r.More && len(r.Keys) == 0 {
		return nil, fmt.Errorf("open feed keys: %w: an empty page is not the last", ErrFormat)
	}
	return r, nil
}
