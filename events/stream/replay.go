package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// Replay is the fact that a quarantined event was published again. It stands
// beside the entry, which never changes.
type Replay struct {
	Time  time.Time  `json:"time"`
	Actor string     `json:"actor"`
	Count int        `json:"count"` // how often
	Event events.Ref `json:"event"` // identity under which it is in the log, once it was accepted
}

// Payload is what is published of an entry: encrypted, as it waits in the intake
// like everything else.
type Payload struct {
	Subject     string // where it is published
	ContentType string
	Body        []byte
}

// Replay publishes the payload of entry v to the intake, and notes that. The intake judges it anew: it is logged once
// however often it is replayed, or refused again, which changes nothing in the
// quarantine. Where the note fails, replaying again is safe.
func (q *Quarantine) Replay(ctx context.Context, v Quarantined, payload Payload, actor string, now time.Time) (Replay, error) {
	before, err := q.Replayed(ctx, v)
	if err != nil {
		return Replay{}, err
	}
	msg := nats.NewMsg(payload.Subject)
	msg.Data = payload.Body
	msg.Header.Set("Content-Type", payload.ContentType)
	if _, err := q.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(IntakeStream)); err != nil {
		return Replay{}, fmt.Errorf("replay stream=%s seq=%d: %w", QuarantineStream, v.Seq, err)
	}
	done := Replay{Time: now.UTC(), Actor: actor, Count: before.Count + 1, Event: events.EventRef(v.Tenant, v.Source, v.ID)}
	body, err := json.Marshal(done)
	if err != nil {
		return Replay{}, fmt.Errorf("note replay: %w", err)
	}
	_, err = q.js.Publish(ctx, replayedPrefix+v.key(), body, jetstream.WithExpectStream(QuarantineStream))
	if err != nil {
		return Replay{}, fmt.Errorf("note replay stream=%s seq=%d: %w", QuarantineStream, v.Seq, err)
	}
	return done, nil
}

// Replayed is the last replay of entry v, one of Count 0 where there was none.
func (q *Quarantine) Replayed(ctx context.Context, v Quarantined) (r Replay, err error) {
	m, err := q.get(ctx, get{LastFor: replayedPrefix + v.key()})
	if errors.Is(err, ErrNotFound) {
		return Replay{}, nil
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &r)
	}
	if err != nil {
		return Replay{}, fmt.Errorf("read replay of seq=%d: %w", v.Seq, err)
	}
	return r, nil
}

// ReplaySubject is where the event was published, "" where that is not known:
// what came through another door is published where it would have been.
func (q *Quarantined) ReplaySubject() string {
	if _, _, err := ParseEventSubject(q.Subject); err == nil {
		return q.Subject
	}
	if t := events.Type(q.Type); q.Subject == "" && t.Known() && events.ValidTenant(q.Tenant) {
		return EventSubject(q.Tenant, t)
	}
	return ""
}

// SubjectOf is where the event, now that its type is known to be t, would be published.
func (q *Quarantined) SubjectOf(t events.Type) string {
	if q.FromService() {
		return ServiceSubject(q.Tenant, t)
	}
	return EventSubject(q.Tenant, t)
}

// FromService reports whether one of our own services published the event, in
// its own name.
func (q *Quarantined) FromService() bool {
	return fromService(q.Subject) || q.Subject == events.Withheld+serviceSuffix
}

// Entries is how many refused events are kept.
func (q *Quarantine) Entries(ctx context.Context) (uint64, error) {
	s, err := q.js.Stream(ctx, QuarantineStream)
	if err != nil {
		return 0, fmt.Errorf("count stream=%s: %w", QuarantineStream, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(replayedPrefix+"*"))
	if err != nil {
		return 0, fmt.Errorf("count stream=%s: %w", QuarantineStream, err)
	}
	return info.State.Msgs - uint64(len(info.State.Subjects)), nil
}
