package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// Notice names what is to be told to a recipient about a request.
type Notice struct {
	Tenant    string
	Request   events.Ref
	Recipient string // of a-z A-Z 0-9 _ -
}

// of is the subjects of all notices about a request. No hold keeps anything on
// them: there a reference stands behind the second one.
func (n Notice) of() string { return heldPrefix + n.Tenant + "." + n.Request.String() + "." }

func (n Notice) validate() error {
	if !events.ValidTenant(n.Tenant) || n.Request.IsZero() || !events.ValidTenant(n.Recipient) {
		return errors.New("want a tenant, a request and a recipient of a-z A-Z 0-9 _ -")
	}
	return nil
}

// Outbox keeps the notices that wait for an answer, and beside each what came of
// trying. It may be used from any goroutine.
type Outbox struct{ js jetstream.JetStream }

// NewOutbox is in the stream of what is held, which Ensure made.
func NewOutbox(js jetstream.JetStream) *Outbox { return &Outbox{js} }

// The two things that are kept of a notice.
const (
	noticeSealed = "notice."
	noticeTried  = "tried."
)

// Put keeps a sealed notice, durably on return, in place of what was there.
func (o *Outbox) Put(ctx context.Context, n Notice, sealed []byte) error {
	return o.put(ctx, n, noticeSealed, sealed)
}

// Get is what was put. The error wraps ErrNotFound where nothing is.
func (o *Outbox) Get(ctx context.Context, n Notice) ([]byte, error) {
	return o.get(ctx, n, noticeSealed)
}

// SetTried keeps what came of trying, in place of what was there.
func (o *Outbox) SetTried(ctx context.Context, n Notice, tried []byte) error {
	return o.put(ctx, n, noticeTried, tried)
}

// Tried is what was set. The error wraps ErrNotFound where nothing is.
func (o *Outbox) Tried(ctx context.Context, n Notice) ([]byte, error) {
	return o.get(ctx, n, noticeTried)
}

func (o *Outbox) put(ctx context.Context, n Notice, what string, b []byte) error {
	err := n.validate()
	if err == nil {
		_, err = o.js.Publish(ctx, n.of()+what+n.Recipient, b, jetstream.WithExpectStream(HeldStream))
	}
	if err != nil {
		return fmt.Errorf("put %srecipient %.40q: %w", what, n.Recipient, err)
	}
	return nil
}

func (o *Outbox) get(ctx context.Context, n Notice, what string) ([]byte, error) {
	if err := n.validate(); err != nil {
		return nil, fmt.Errorf("get %srecipient %.40q: %w", what, n.Recipient, err)
	}
	m, err := get{LastFor: n.of() + what + n.Recipient}.from(ctx, o.js, HeldStream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get %srecipient %.40q: %w", what, n.Recipient, err)
	}
	return m.Data, nil
}

// Purge removes all notices about a request of n, and what came of trying. The
// key that they are sealed under is to be destroyed before: what is removed
// stays in the files of the server for a while.
func (o *Outbox) Purge(ctx context.Context, n Notice) error {
	if !events.ValidTenant(n.Tenant) || n.Request.IsZero() {
		return errors.New("purge notices: want a tenant and a request")
	}
	s, err := o.js.Stream(ctx, HeldStream)
	for _, what := range []string{noticeSealed, noticeTried} {
		if err == nil {
			err = s.Purge(ctx, jetstream.WithPurgeSubject(n.of()+what+"*"))
		}
	}
	if err != nil {
		return fmt.Errorf("purge notices: %w", err)
	}
	return nil
}
