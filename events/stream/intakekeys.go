package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/envelope"
)

// ErrNoIntakeKey says that there is no key to encrypt events to: nobody answered
// who has one, or none takes messages now. Nothing was sent.
var ErrNoIntakeKey = errors.New("no key of the intake to encrypt to")

const (
	// keysWait is how long the answer to one request for keys may take.
	keysWait = 2 * time.Second
	// keysKept is how old keys may be before they are asked for again. While
	// nobody answers, those that are known are used until they end.
	keysKept = time.Hour
	// keysAgain is how long after a request without an answer the next one is
	// made, where there is a key to go on with.
	keysAgain = 30 * time.Second
)

// IntakeKeys asks the projector for the keys that publishers encrypt to.
func IntakeKeys(ctx context.Context, nc *nats.Conn) (envelope.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, keysWait)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, IntakeKeysSubject, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("no projector is running: %w", err)
	}
	if err != nil {
		return envelope.Set{}, fmt.Errorf("ask for intake keys: %w", err)
	}
	return envelope.ParseSet(m.Data)
}

// sealer has the key that a publisher encrypts to. It trusts no clock of its own
// but for how much time has passed: what time it is the keys say. Where a key is
// known nobody waits for the next: it is asked for behind the publisher's back.
type sealer struct {
	ask func(context.Context) (envelope.Set, error)
	now func() time.Time

	asking     sync.Mutex // one asks, the others take its answer
	err        error      // of asking: why there was none, the last time
	refreshing sync.WaitGroup

	mu    sync.Mutex
	fails int // how often first was told nothing
	set   envelope.Set
	got   time.Time // when set was asked for
	tried time.Time // when was asked last
}

// key is the key for a message that is sent now.
func (s *sealer) key(ctx context.Context) (envelope.PublicKey, error) {
	k, due, fails := s.known()
	if k.IsZero() {
		return s.first(ctx, fails)
	}
	if due {
		s.refreshing.Go(func() { s.fetch(ctx) }) // what fails is tried again
	}
	return k, nil
}

// known is the key that can be used now, or the zero key, whether it is for the
// caller to ask for others, and how often first was told nothing.
func (s *sealer) known() (k envelope.PublicKey, due bool, fails int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	age := passed(s.got, now)
	k = s.set.Current(s.set.Now.Add(age))
	if due = age >= keysKept && passed(s.tried, now) >= keysAgain; due {
		s.tried = now
	}
	return k, due, s.fails
}

// first asks where no key is known, or takes what another was told meanwhile, a
// failure too: who waits in a row for one that is not there would wait for it as
// often as there are others. Fails is how often there was none when the caller
// looked.
func (s *sealer) first(ctx context.Context, fails int) (envelope.PublicKey, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	k, _, now := s.known()
	switch {
	case !k.IsZero():
		return k, nil
	case now > fails:
		return k, s.err
	}
	k, err := s.fetchCurrent(ctx)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fails, s.err = s.fails+1, err
	}
	return k, err
}

func (s *sealer) fetchCurrent(ctx context.Context) (envelope.PublicKey, error) {
	set, err := s.fetch(ctx)
	if err != nil {
		return envelope.PublicKey{}, fmt.Errorf("%w: %w", ErrNoIntakeKey, err)
	}
	k := set.Current(set.Now)
	if k.IsZero() {
		return k, fmt.Errorf("%w: of %d keys none takes messages at %s", ErrNoIntakeKey, len(set.Keys), set.Now.Format(time.RFC3339))
	}
	return k, nil
}

func (s *sealer) fetch(ctx context.Context) (envelope.Set, error) {
	asked := s.now()
	set, err := s.ask(ctx)
	if err != nil {
		return set, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.got, s.tried = set, asked, asked
	return set, nil
}

// passed is how long ago a time was, by the clock that says more: one stands
// still while the machine sleeps, and the other can be set back.
func passed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// IntakeState is where the intake stream begins and ends, by the server's clock.
type IntakeState struct {
	Created time.Time // of the stream: its sequences mean something only beside it
	First   uint64    // sequence of the oldest message; Last + 1 where there is none
	Last    uint64    // sequence of the newest message that there ever was
	Now     time.Time
}

// ReadIntakeState asks for the state of the intake stream.
func ReadIntakeState(ctx context.Context, js jetstream.JetStream) (IntakeState, error) {
	s, err := js.Stream(ctx, IntakeStream)
	if err != nil {
		return IntakeState{}, fmt.Errorf("state of stream %s: %w", IntakeStream, err)
	}
	info := s.CachedInfo()
	state := IntakeState{Created: info.Created, First: info.State.FirstSeq, Last: info.State.LastSeq, Now: info.TimeStamp}
	if info.State.Msgs == 0 {
		state.First = state.Last + 1
	}
	return state, nil
}
