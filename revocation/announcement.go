package revocation

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/rescindhq/rescind/events"
)

// MaxAnnounced bounds the entries of one announcement: behind more of them a
// verifier waits for its own work, not for the delta to be stored.
const MaxAnnounced = 64

// Announcement tells verifiers what is revoked in the log, before the delta
// that says so is stored. It is no part of the chain: it vouches for nothing,
// moves no position and makes no view younger. All it can do is to have a token
// refused some time sooner, so it holds no lifts.
type Announcement struct {
	Head    // of the delta that is to follow, if it is ever stored
	Entries []Entry
}

// Announce is what d revokes, signed, nil where that is nothing, or too much to
// be announced.
func (d *Delta) Announce(key ed25519.PrivateKey) ([]byte, error) {
	if len(d.Entries) > MaxAnnounced {
		return nil, nil
	}
	a := Delta{Head: d.Head}
	for _, e := range d.Entries {
		if !e.Lift {
			a.Entries = append(a.Entries, e)
		}
	}
	if len(a.Entries) == 0 {
		return nil, nil
	}
	payload, err := a.payload()
	if err != nil {
		return nil, err
	}
	return purposeAnnouncement.sign(key, payload), nil
}

// OpenAnnouncement reads what Announce wrote, if key signed it.
func OpenAnnouncement(key ed25519.PublicKey, message []byte) (*Announcement, error) {
	payload, err := purposeAnnouncement.open(key, message)
	if err != nil {
		return nil, fmt.Errorf("open announcement: %w", err)
	}
	d, err := decodeDelta(payload)
	if err != nil {
		return nil, fmt.Errorf("open announcement: %w", err)
	}
	if len(d.Entries) > MaxAnnounced || slices.ContainsFunc(d.Entries, func(e Entry) bool { return e.Lift }) {
		return nil, fmt.Errorf("open announcement: %w: a lift, or too many entries", ErrFormat)
	}
	return &Announcement{Head: d.Head, Entries: d.Entries}, nil
}

// Beyond is the entries of a that a view at h has not been told of by the
// chain: none where a is of another history. What the chain has told may have
// been lifted and left out of a snapshot since, and must not come back.
func (a *Announcement) Beyond(h *Head) (out []Entry) {
	if !a.SameHistory(h) {
		return nil
	}
	for _, e := range a.Entries {
		if e.Index > h.Place(events.ShardOf(e.Key.Tenant, h.Shards())).Position {
			out = append(out, e)
		}
	}
	return out
}
