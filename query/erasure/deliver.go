package erasure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/callback"
)

// Tried is what came of trying to tell a recipient.
type Tried struct {
	Attempts int       `json:"attempts"`
	Last     time.Time `json:"last"` // when it was tried
	Next     time.Time `json:"next"` // not before then
	Failure  string    `json:"failure"`
	Contact  string    `json:"-"` // whom to write to, as in the registry
}

// notice is one that may be sent.
type notice struct {
	request Request
	to      string
}

// reply is what a recipient answered for good.
type reply struct {
	Delivery
	reason string
}

// tellOne makes one attempt, unless another process did, or a person settled it.
// Answered is false where the recipient is to be left alone. An error is ours, not
// theirs.
func (n *notifier) tellOne(ctx context.Context, r *Request, to string) (answered bool, err error) {
	place := noticeTo(r, to)
	if now, err := n.Get(r.ID, r.isOf); err != nil || !slices.Contains(now.unanswered(), to) {
		return true, err
	}
	if a, there := n.replyOf(place); there {
		return true, n.settled(ctx, r, place, a) // they are not asked again because we could not write it down
	}
	tried, err := n.triedOf(ctx, place)
	if err != nil {
		return false, err
	}
	if now := n.cfg.Now(); now.Before(tried.Next) && tried.Last.Sub(now) < n.Most { // or the clock was wrong, then
		n.wait(place, tried.Next)
		return true, nil // they may answer to another
	}
	m, err := n.message(ctx, r, to)
	if errors.Is(err, errLost) {
		return true, n.failedOnce(ctx, place, tried, err, n.Most)
	}
	if err != nil {
		return false, err
	}
	a, after, failure := n.attempt(ctx, m)
	switch {
	case ctx.Err() != nil:
		return false, nil
	case failure != nil:
		n.leave(to, after)
		return false, n.failedOnce(ctx, place, tried, failure, after)
	default:
		n.back(to)
		return true, n.settled(ctx, r, place, a)
	}
}

// settled records what a recipient answered. Stopped before that it is not known
// here that they did, and they are told again.
func (n *notifier) settled(ctx context.Context, r *Request, place stream.Notice, a reply) error {
	n.mu.Lock()
	n.said[place] = a
	n.mu.Unlock()
	if err := n.recordNotice(ctx, r, place.Recipient, ".notified.", a.Delivery, a.reason); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.said, place)
	return nil
}

func (n *notifier) replyOf(place stream.Notice) (reply, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, there := n.said[place]
	return a, there
}

// triedOf is what came of trying until now, zero where nobody did.
func (n *Notifying) triedOf(ctx context.Context, place stream.Notice) (t Tried, err error) {
	b, err := n.Outbox.Tried(ctx, place)
	if errors.Is(err, stream.ErrNotFound) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	return t, err
}

// failedOnce keeps what came of it, for whoever goes on after a restart, and for
// people to read.
func (n *notifier) failedOnce(ctx context.Context, place stream.Notice, t Tried, failure error, after time.Duration) error {
	now := n.cfg.Now()
	t.Attempts++
	t.Last, t.Next, t.Failure = now.UTC(), now.Add(max(after, callback.Backoff(t.Attempts, n.First, n.Most))).UTC(), clip(failure.Error())
	n.wait(place, t.Next)
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return n.Outbox.SetTried(ctx, place, b)
}

const maxFailure = 200 // bytes

func clip(s string) string { return s[:min(len(s), maxFailure)] }

func (n *notifier) wait(place stream.Notice, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.later[place] = until
}

// leave leaves a recipient alone.
func (n *notifier) leave(to string, after time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed[to]++
	n.away[to] = n.cfg.Now().Add(max(after, callback.Backoff(n.failed[to], n.First, n.Most)))
}

func (n *notifier) back(to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.failed, to)
	delete(n.away, to)
}

var (
	errLost  = errors.New("the notice is not there any more: tell them by other means")
	errTold  = errors.New("they answered with something else than 2xx")
	errQuiet = errors.New("no answer")
)

// attempt sends a notice once. Failure is why there is no final answer.
func (n *notifier) attempt(ctx context.Context, m callback.Message) (a reply, after time.Duration, failure error) {
	got, err := n.Sender.Send(ctx, m)
	if err != nil {
		return a, 0, fmt.Errorf("%w: %w", errQuiet, err)
	}
	a, failure = answerOf(got)
	return a, got.RetryAfter, failure
}

// message is the notice as it was prepared: the same for every attempt.
func (n *notifier) message(ctx context.Context, r *Request, to string) (callback.Message, error) {
	id, err := n.idOf(ctx, r, ".notice."+to)
	if err != nil {
		return callback.Message{}, err
	}
	place := noticeTo(r, to)
	sealed, err := n.Outbox.Get(ctx, place)
	if errors.Is(err, stream.ErrNotFound) {
		return callback.Message{}, errLost
	}
	if err != nil {
		return callback.Message{}, err
	}
	body, err := n.cfg.Keyring.OpenHeld(ctx, place.Request, seal.OpenRequest{Tenant: r.Tenant, Source: Source, ID: id, Sealed: sealed})
	if errors.Is(err, seal.ErrDestroyed) {
		return callback.Message{}, errLost
	}
	recipient, _ := n.Registry.Get(to)
	return callback.Message{ID: id, URL: recipient.URL, Kind: KindNotice, ContentType: envelope.ContentType, Body: body}, err
}

// answerOf is what an answer comes to. A refusal is only what says that it is
// one: a 403 may be a wall's before the recipient, who then was not told.
func answerOf(a callback.Answer) (reply, error) {
	var said struct {
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
	}
	spoke := a.Verdict() != callback.Again && json.Unmarshal(a.Body, &said) == nil
	switch {
	case spoke && said.Outcome == string(Refused):
		if !slices.Contains(refusals(), said.Reason) {
			said.Reason = OtherReason // it may say anything, and receipts repeat it
		}
		return reply{Refused, said.Reason}, nil
	case a.Verdict() == callback.Accepted:
		return reply{Delivery: Delivered}, nil
	default:
		return reply{}, fmt.Errorf("%w: %d", errTold, a.Status)
	}
}
