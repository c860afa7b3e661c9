package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// HeldPart names a personal part that a legal hold keeps: by the hold, whose
// key it is sealed under, the reference that the person had, and the place of
// its record.
type HeldPart struct {
	Tenant        string
	Hold, Subject events.Ref
	Shard         uint16
	Index         uint64
}

// of is the subjects of all that a hold keeps of a person.
func (p HeldPart) of() string {
	return heldPrefix + p.Tenant + "." + p.Hold.String() + "." + p.Subject.String() + "."
}

func (p HeldPart) subject() string {
	return p.of() + strconv.Itoa(int(p.Shard)) + "." + strconv.FormatUint(p.Index, 10)
}

// Held keeps what legal holds keep of people who were forgotten, one message a
// part. It may be used from any goroutine.
type Held struct{ js jetstream.JetStream }

// NewHeld is the stream that Ensure made.
func NewHeld(js jetstream.JetStream) *Held { return &Held{js} }

// Put is durable on return. What is put twice is kept once.
func (h *Held) Put(ctx context.Context, p HeldPart, sealed []byte) error {
	if !events.ValidTenant(p.Tenant) || p.Hold.IsZero() || p.Subject.IsZero() {
		return fmt.Errorf("put held part index=%d: want a tenant, a hold and a subject", p.Index)
	}
	if _, err := h.js.Publish(ctx, p.subject(), sealed, jetstream.WithExpectStream(HeldStream)); err != nil {
		return fmt.Errorf("put held part index=%d: %w", p.Index, err)
	}
	return nil
}

// Get is what was put. The error wraps ErrNotFound where nothing was.
func (h *Held) Get(ctx context.Context, p HeldPart) ([]byte, error) {
	m, err := get{LastFor: p.subject()}.from(ctx, h.js, HeldStream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get held part index=%d: %w", p.Index, err)
	}
	return m.Data, nil
}

// List is the indices of what a hold keeps of a person, in a shard.
func (h *Held) List(ctx context.Context, p HeldPart) (map[uint64]bool, error) {
	s, err := h.js.Stream(ctx, HeldStream)
	if err != nil {
		return nil, fmt.Errorf("list held parts: %w", err)
	}
	prefix := p.of() + strconv.Itoa(int(p.Shard)) + "."
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(prefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("list held parts: %w", err)
	}
	out := make(map[uint64]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		index, err := strconv.ParseUint(strings.TrimPrefix(subject, prefix), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("list held parts: %w", err)
		}
		out[index] = true
	}
	return out, nil
}

// Purge removes all that a hold keeps of a person. Its key is to be destroyed
// before: what is removed stays in the files of the server for a while.
func (h *Held) Purge(ctx context.Context, p HeldPart) error {
	if !events.ValidTenant(p.Tenant) || p.Hold.IsZero() || p.Subject.IsZero() {
		return errors.New("purge held parts: want a tenant, a hold and a subject")
	}
	s, err := h.js.Stream(ctx, HeldStream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(p.of()+">"))
	}
	if err != nil {
		return fmt.Errorf("purge held parts: %w", err)
	}
	return nil
}
