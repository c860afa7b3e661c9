package intake

import (
	"context"
	"errors"
	"maps"
	"mime"
	"slices"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
)

// unseal opens the messages of c that were encrypted to the intake. One whose
// key cannot be had now is held; one whose key is not there is refused: whoever
// made it has to take a key that is, and to publish again.
func (l *lane) unseal(ctx context.Context, c *chunk) {
	l.eachArrival("parse envelope", c, (*arrival).unwrap)
	ids := map[string]bool{}
	for i := range c.arrivals {
		if e := c.arrivals[i].envelope; e != nil {
			ids[e.KeyID] = true
		}
	}
	if len(ids) == 0 {
		return
	}
	keys, err := l.intakeKeys(ctx, slices.Collect(maps.Keys(ids)))
	l.eachArrival("open envelope", c, func(a *arrival) { a.unseal(keys, err) })
}

// eachArrival does one step on every message of c that is still to be opened,
// several at once.
func (l *lane) eachArrival(step string, c *chunk, do func(*arrival)) {
	l.in.each(step, len(c.arrivals), 1, func(i int) {
		if a := &c.arrivals[i]; a.refusal == nil && !a.held {
			do(a)
		}
	}, func(i int) { c.arrivals[i].refusal = unreadable() })
}

// intakeKeys is those of the keys of these ids that are there. Beside an error
// others may be.
func (l *lane) intakeKeys(ctx context.Context, ids []string) (keys map[string]envelope.PrivateKey, err error) {
	err = l.ask(ctx, func() (err error) {
		keys, err = l.cfg.Keyring.FindIntakeKeys(ctx, ids...)
		return err
	})
	if err != nil {
		l.cfg.Logger.Error("no intake key, holding what may be encrypted to it", "err", err)
	}
	return keys, err
}

// unwrap takes a apart where it is encrypted.
func (a *arrival) unwrap() {
	a.inner = a.Message
	media, _, err := mime.ParseMediaType(a.Message.ContentType)
	if err != nil || media != envelope.ContentType {
		return
	}
	if a.envelope, err = envelope.Parse(a.Message.Body); err != nil {
		a.refuse(err)
	}
}

// unseal opens a. Where its key is not among keys, why says whether that is
// because they could not be read.
func (a *arrival) unseal(keys map[string]envelope.PrivateKey, why error) {
	if a.envelope == nil {
		return
	}
	key, there := keys[a.envelope.KeyID]
	switch {
	case there:
		a.open(key)
	case why != nil:
		a.held = true
	default:
		a.refusal = &events.Refusal{Reason: events.ReasonIntakeKey, Detail: "there is no intake key of this id: take one that is published now and send again"}
	}
}

func (a *arrival) open(key envelope.PrivateKey) {
	plain, err := a.envelope.Open(key)
	if err != nil {
		a.refuse(err)
		return
	}
	a.inner.Body, a.inner.ContentType, a.sealed = plain, a.envelope.ContentType, true
	a.envelope = nil
}

// refuse refuses a because of err, of which only what is ours to say is said.
func (a *arrival) refuse(err error) {
	var why envelope.Refused
	if !errors.As(err, &why) {
		why = "it cannot be opened"
	}
	a.refusal = &events.Refusal{Reason: events.ReasonEnvelope, Detail: string(why)}
}
