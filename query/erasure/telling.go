package erasure

import (
	"context"
	"errors"
	"time"

	"github.com/rescindhq/rescind/query/callback"
)

// Telling is how those who asked from elsewhere are told how it stands.
type Telling struct {
	// Posts sends. Required.
	Posts Posts

	// Message is what is sent to url of a step of r, to whoever knows it as id.
	// Its ID and URL are set here. Required.
	Message func(r *Request, s Step, id, url string) (callback.Message, error)

	// Lock is held while something is sent, so that one process at a time does. It is
	// as Notifying.Lock: nothing is sent any more once term ends. Default none: it is
	// sent by each, under one id.
	Lock func(ctx context.Context) (term context.Context, release func(), err error)

	// For is how long a step is told to somebody who does not answer. Default 72 h;
	// above 0. Where they are told is forgotten then, at the latest, once there is no
	// other step to come.
	For time.Duration

	// Retry is the first pause after a failure; it doubles up to Most. Default 30 s
	// and 6 h; above 0.
	Retry, Most time.Duration
}

// Posts sends what is told: *callback.Sender.
type Posts interface {
	// Check wraps callback.ErrForbidden where nothing would be sent to the URL.
	Check(url string) error
	// Send makes one attempt.
	Send(ctx context.Context, m callback.Message) (callback.Answer, error)
}

func (t *Telling) defaults() {
	if t.Lock == nil {
		t.Lock = unlocked
	}
	if t.For == 0 {
		t.For = 72 * time.Hour
	}
	if t.Retry == 0 {
		t.Retry = 30 * time.Second
	}
	if t.Most == 0 {
		t.Most = 6 * time.Hour
	}
}

func (t *Telling) validate() error {
	switch {
	case t.Posts == nil || t.Message == nil:
		return errors.New("telling: posts and message are missing")
	case t.For < 0 || t.Retry < 0 || t.Most < 0:
		return errors.New("telling: for, retry and most: want more than 0")
	default:
		return nil
	}
}
