package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// ContentTypeQuarantined is the content type of a message of the quarantine.
const ContentTypeQuarantined = "application/vnd.rescind.quarantined+json"

// Quarantined is one refused event, or message that held none, as a fact: its
// payload is sealed, or left out where the payload was the offence or is too
// large.
type Quarantined struct {
	Seq     uint64        `json:"-"`                // given by the stream
	Time    time.Time     `json:"time,omitzero"`    // when it was refused
	Tenant  string        `json:"tenant,omitempty"` //
	Source  string        `json:"source,omitempty"` // as Refusal clips it
	ID      string        `json:"id,omitempty"`     // as Refusal clips it
	Type    string        `json:"type,omitempty"`   //
	Reason  events.Reason `json:"reason"`           //
	Detail  string        `json:"detail,omitempty"` //
	SHA256  events.Hash   `json:"-"`                // of the event as it arrived; in hex as sha256
	Sealed  []byte        `json:"sealed,omitempty"` //
	Subject string        `json:"subject,omitempty"`
}

// plain is Quarantined without its methods.
type plain Quarantined

type quarantinedJSON struct {
	*plain
	SHA256 string `json:"sha256"`
}

// MarshalJSON writes the hash in hex.
func (q Quarantined) MarshalJSON() ([]byte, error) {
	return json.Marshal(quarantinedJSON{(*plain)(&q), q.SHA256.String()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (q *Quarantined) UnmarshalJSON(b []byte) error {
	v := quarantinedJSON{plain: (*plain)(q)}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	hash, err := hex.DecodeString(v.SHA256)
	if err != nil || len(hash) != len(q.SHA256) {
		return fmt.Errorf("sha256: want %d hex digits", 2*len(q.SHA256))
	}
	q.SHA256 = events.Hash(hash)
	return nil
}

// key is what makes two quarantined events one: the same bytes of the same tenant,
// on the same subject, for the same reason.
func (q *Quarantined) key() string {
	h := sha256.New()
	h.Write(q.SHA256[:])
	h.Write([]byte(q.Subject))
	h.Write([]byte{0})
	h.Write([]byte(q.Reason))
	h.Write([]byte{0})
	h.Write([]byte(q.Tenant))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Quarantine keeps refused events.
type Quarantine struct {
	js    jetstream.JetStream
	whole bool // whoever answers a direct get has all of it
}

// OpenQuarantine opens the quarantine that Ensure made.
func OpenQuarantine(ctx context.Context, js jetstream.JetStream) (*Quarantine, error) {
	s, err := js.Stream(ctx, QuarantineStream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", QuarantineStream, err)
	}
	return &Quarantine{js: js, whole: onlyCopy(s.CachedInfo().Config)}, nil
}

// Put stores v, durably on return. The same bytes refused again on the same
// subject for the same reason are one entry, however late and often they come.
// Of what is larger than the server takes the fact is stored, without payload.
func (q *Quarantine) Put(ctx context.Context, v Quarantined) error {
	err := q.put(ctx, v)
	if errors.Is(err, nats.ErrMaxPayload) && v.Sealed != nil {
		v.Sealed, v.Detail = nil, v.Detail+"; its payload is too large to be kept"
		err = q.put(ctx, v)
	}
	if err != nil && !wrongLast(err) {
		return fmt.Errorf("quarantine event: %w", err)
	}
	return nil
}

func (q *Quarantine) put(ctx context.Context, v Quarantined) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(quarantinePrefix + v.key())
	msg.Data = body
	msg.Header.Set("Content-Type", ContentTypeQuarantined)
	_, err = q.js.PublishMsg(ctx, msg, jetstream.WithMsgID(v.key()),
		jetstream.WithExpectStream(QuarantineStream), jetstream.WithExpectLastSequencePerSubject(0))
	return err
}

// Get is the entry with the given sequence, or an error that wraps ErrNotFound.
func (q *Quarantine) Get(ctx context.Context, seq uint64) (Quarantined, error) {
	if seq == 0 {
		return Quarantined{}, fmt.Errorf("get stream=%s seq=0: %w", QuarantineStream, ErrNotFound)
	}
	m, err := q.get(ctx, get{Seq: seq})
	if err != nil {
		return Quarantined{}, err
	}
	v, err := decodeQuarantined(m)
	if err != nil {
		return Quarantined{}, fmt.Errorf("decode stream=%s seq=%d: %w", QuarantineStream, seq, err)
	}
	return v, nil
}

func (q *Quarantine) get(ctx context.Context, g get) (stored, error) {
	m, err := g.from(ctx, q.js, QuarantineStream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return stored{}, fmt.Errorf("get stream=%s seq=%d: %w", QuarantineStream, g.Seq, ErrNotFound)
	}
	return m, err
}

func decodeQuarantined(m stored) (Quarantined, error) {
	var v Quarantined
	if err := json.Unmarshal(m.Data, &v); err != nil {
		return Quarantined{}, err
	}
	v.Seq = m.Seq
	return v, nil
}

// undecodable stands in a list for an entry that cannot be decoded, so that it
// hides none behind it. It says nothing of what the entry holds.
func undecodable(m stored) Quarantined {
	return Quarantined{
		Seq: m.Seq, Time: m.Time.UTC(), Reason: events.ReasonDefect,
		Detail: "the entry cannot be decoded: something else wrote it", SHA256: sha256.Sum256(m.Data),
	}
}

// List is up to limit entries behind sequence after, oldest first. One that
// cannot be decoded is listed as a defect, with the hash of what is stored.
func (q *Quarantine) List(ctx context.Context, after uint64, limit int) ([]Quarantined, error) {
	var out []Quarantined
	for len(out) < limit {
		page, err := q.page(ctx, after+1, limit-len(out))
		if err != nil {
			return nil, fmt.Errorf("list stream=%s from=%d: %w", QuarantineStream, after+1, err)
		}
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			v, err := decodeQuarantined(m)
			if err != nil {
				v = undecodable(m)
			}
			out = append(out, v)
			after = m.Seq
		}
	}
	return out, nil
}

// page is the next entries from a sequence on, at least one where there is one:
// many in one request where any server may be asked, else one, of the leader.
func (q *Quarantine) page(ctx context.Context, from uint64, most int) ([]stored, error) {
	if q.whole {
		return nextOf(ctx, q.js.Conn(), QuarantineStream, QuarantineSubjects, from, most)
	}
	m, err := q.get(ctx, get{Seq: from, NextFor: QuarantineSubjects})
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return []stored{m}, err
}
