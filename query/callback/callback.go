package callback

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Bounds.
const (
	MaxBody   = 1 << 20  // of a message, in bytes
	MaxAnswer = 16 << 10 // of an answer's body that is kept, in bytes
	MaxHeader = 16 << 10 // of an answer's header, in bytes

	// Window is how long a signature holds: what is presented later is a replay.
	Window = 5 * time.Minute
)

var (
	// ErrForbidden says that a URL must not be called: not https, or at an
	// address that is not allowed.
	ErrForbidden = errors.New("callback is not allowed")

	// ErrInvalid says that a message is not one.
	ErrInvalid = errors.New("no such message can be sent")

	// ErrUnverified says that a message is not what its signature says, or is not
	// signed by a key that is known, for this URL, now.
	ErrUnverified = errors.New("signature does not hold")
)

// Message is what is sent.
type Message struct {
	// ID is the same for every attempt, and for nothing else: 1 to 128 of
	// A-Z a-z 0-9 . _ -
	ID string
	// URL is where it goes.
	URL string
	// Kind says to the receiver what it is, as erasure.notice: characters as in ID.
	Kind string
	// ContentType of Body. Default application/json.
	ContentType string
	// Header is what else the receiver's protocol asks for. It is not signed, and
	// holds none of the fields that are made here.
	Header http.Header
	// Body has up to MaxBody bytes.
	Body []byte
}

// Answer is what a receiver said.
type Answer struct {
	Status     int           // 100 to 999
	Body       []byte        // the first MaxAnswer bytes
	RetryAfter time.Duration // what it asked for, at most a day; 0 where it did not
}

// Verdict says what an answer comes to.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted" // 2xx
	Refused  Verdict = "refused"  // 4xx of which no repetition changes anything
	Again    Verdict = "again"    // the rest: redirects, too
)

// Verdict is what a's status comes to. That a key, a name or a route is not known
// (401, 404, 407, 421) can be mended at the receiver's; so can what asks for
// patience (408, 425, 429).
func (a Answer) Verdict() Verdict {
	switch {
	case a.Status >= 200 && a.Status <= 299:
		return Accepted
	case a.Status < 400 || a.Status > 499:
		return Again
	}
	switch a.Status {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusProxyAuthRequired, http.StatusMisdirectedRequest,
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return Again
	}
	return Refused
}

// Posts is a *Sender, to those who need no more of it.
type Posts interface {
	// Send makes one attempt. Where the receiver answered, whatever it said, the
	// error is nil.
	Send(ctx context.Context, m Message) (Answer, error)
}

var _ Posts = (*Sender)(nil)
