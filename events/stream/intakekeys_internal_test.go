package stream

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/envelope"
)

// clocked is a sealer whose clock is off, and the keys that it is answered with.
type clocked struct {
	sealer
	off, gone time.Duration // of the publisher's clock; since the beginning
	asked     int
	err       error
	keys      []envelope.PublicKey
}

var began = time.Unix(1_800_000_000, 0)

func newClocked(t *testing.T, off time.Duration) *clocked {
	t.Helper()
	c := &clocked{off: off}
	for day := range 3 {
		from := began.Add(time.Duration(day) * 24 * time.Hour)
		k, err := envelope.Generate(from.Add(-time.Hour), from.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		c.keys = append(c.keys, k.PublicKey)
	}
	c.now = func() time.Time { return began.Add(c.off + c.gone) }
	c.ask = func(context.Context) (envelope.Set, error) {
		c.asked++
		set := envelope.Set{Now: began.Add(c.gone)}
		for _, k := range c.keys { // the next one is published half a day ahead
			if k.NotBefore.Before(set.Now.Add(12*time.Hour)) && set.Now.Before(k.Expires) {
				set.Keys = append(set.Keys, k)
			}
		}
		return set, c.err
	}
	return c
}

// want is the day whose key is used after a time.
func (c *clocked) want(t *testing.T, gone time.Duration, day int) {
	t.Helper()
	c.gone = gone
	k, err := c.key(t.Context())
	c.refreshing.Wait()
	if err != nil || k.ID != c.keys[day].ID {
		t.Errorf("clock off by %s, after %s: key until %s, %v; want that of day %d", c.off, gone, k.Expires, err, day)
	}
}

func TestAWrongClockTakesTheRightKey(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, time.Hour, -time.Hour, 10_000 * time.Hour, -10_000 * time.Hour} {
		c := newClocked(t, off)
		c.want(t, 0, 0)
		c.want(t, 21*time.Hour+45*time.Minute, 0)
		c.want(t, 22*time.Hour+30*time.Minute, 0) // without asking: by what has passed
		c.want(t, 23*time.Hour, 1)
		c.want(t, 25*time.Hour, 1)
		c.want(t, 46*time.Hour, 1) // and asks for the next
		c.want(t, 47*time.Hour, 2)
	}
}

// TestNobodyWaitsForTheNextKey: not while the projector takes its time, and one
// asks for all.
func TestNobodyWaitsForTheNextKey(t *testing.T) {
	t.Parallel()
	c := newClocked(t, 0)
	c.want(t, 0, 0)
	answer, asked := make(chan struct{}), make(chan struct{}, 9)
	ask := c.ask
	c.ask = func(ctx context.Context) (envelope.Set, error) {
		asked <- struct{}{}
		<-answer
		return ask(ctx)
	}
	c.gone = 13 * time.Hour
	for range 9 {
		if k, err := c.key(t.Context()); err != nil || k.ID != c.keys[0].ID {
			t.Fatalf("%+v, %v", k, err)
		}
	}
	<-asked
	close(answer)
	c.refreshing.Wait()
	if c.asked != 2 {
		t.Errorf("asked %d times, want 2", c.asked)
	}
	c.want(t, 25*time.Hour, 1)
}

// TestOneAnswerThatThereIsNoKeyIsForAll who waited for it: several lines of a
// publisher begin at once, and each tries again by itself.
func TestOneAnswerThatThereIsNoKeyIsForAll(t *testing.T) {
	t.Parallel()
	const lines = 16
	var looked, asked atomic.Int32
	wait := make(chan struct{})
	s := sealer{now: func() time.Time { looked.Add(1); return began }}
	s.ask = func(context.Context) (envelope.Set, error) {
		asked.Add(1)
		<-wait
		return envelope.Set{}, errors.New("nobody answers")
	}
	var lining sync.WaitGroup
	for range lines {
		lining.Go(func() {
			if _, err := s.key(t.Context()); !errors.Is(err, ErrNoIntakeKey) {
				t.Error(err)
			}
		})
	}
	for looked.Load() < lines+2 { // each has found no key, and one of them twice, before it asked
		runtime.Gosched()
	}
	close(wait)
	lining.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for all of them", n)
	}
	if _, err := s.key(t.Context()); err == nil || asked.Load() != 2 {
		t.Errorf("who tries again later was not asked for: %v", err)
	}
}

func TestKeysAreAskedForAgainEachHour(t *testing.T) {
	t.Parallel()
	c := newClocked(t, 0)
	for minute := range 5 * 60 {
		c.want(t, time.Duration(minute)*time.Minute, 0)
	}
	if c.asked != 5 {
		t.Errorf("asked %d times in five hours", c.asked)
	}
}

// TestKnownKeysLastWhileNobodyAnswers: what is known is used until it ends, and
// not asked for without end.
func TestKnownKeysLastWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	c := newClocked(t, 0)
	c.want(t, 13*time.Hour, 0) // the next one is known by now
	c.err = errors.New("nobody answers")
	c.asked = 0
	c.want(t, 15*time.Hour, 0)
	for second := range 300 {
		c.want(t, 15*time.Hour+time.Duration(second)*time.Second, 0)
	}
	if c.asked != 10 {
		t.Errorf("asked %d times in five minutes", c.asked)
	}
	c.want(t, 48*time.Hour-time.Minute, 1)
	c.gone = 48 * time.Hour
	if _, err := c.key(t.Context()); !errors.Is(err, ErrNoIntakeKey) {
		t.Errorf("after the last key has ended: %v", err)
	}
	c.err = nil
	c.want(t, 48*time.Hour, 2)
}

func TestNoKeyThatTakesMessagesIsAnError(t *testing.T) {
	t.Parallel()
	c := newClocked(t, 0)
	c.gone = 1000 * time.Hour
	if _, err := c.key(t.Context()); !errors.Is(err, ErrNoIntakeKey) {
		t.Errorf("got %v", err)
	}
}

// TestAMessageIsEncryptedAnewUnderOneID: what was encrypted to a key that has
// ended is not sent again as it is.
func TestAMessageIsEncryptedAnewUnderOneID(t *testing.T) {
	t.Parallel()
	c := newClocked(t, 0)
	p := &Publisher{run: t.Context(), sealer: sealer{ask: c.ask, now: c.now}}
	items := []*item{{raw: []byte{10, 1, 'a'}}, {raw: []byte{10, 1, 'b'}}}
	out := p.outgoing("rescind.events.acme.token.issued", items, nil)
	if err := p.seal(out); err != nil {
		t.Fatal(err)
	}
	first, id := bytes.Clone(out.msg.Data), out.msg.Header.Get("Nats-Msg-Id")
	if err := p.seal(out); err != nil || !bytes.Equal(first, out.msg.Data) {
		t.Errorf("encrypted twice to one key: %v", err)
	}
	c.gone = 24 * time.Hour
	if err := p.seal(out); err != nil {
		t.Fatal(err)
	}
	m, err := envelope.Parse(out.msg.Data)
	if err != nil || m.KeyID != c.keys[1].ID || out.msg.Header.Get("Nats-Msg-Id") != id {
		t.Errorf("%+v, %v; want the next key under the same message id", m, err)
	}
}

// TestMessageIDsTellNothing: the same events have another id from another
// publisher, so that nobody can test guesses against what is on the disk.
func TestMessageIDsTellNothing(t *testing.T) {
	t.Parallel()
	items := []*item{{raw: []byte("some event")}}
	ids := map[string]bool{}
	for i := range 3 {
		p := &Publisher{idKey: [32]byte{byte(i)}}
		for range 2 {
			ids[p.outgoing("s", items, nil).msg.Header.Get("Nats-Msg-Id")] = true
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d ids of three publishers", len(ids))
	}
}
