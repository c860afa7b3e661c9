package intake

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// fat is n events that fill a message.
func fat(prefix string, n int) []events.Event {
	evs := issuedMany(prefix, n)
	for i := range evs {
		evs[i].Data.Personal = map[string]any{"letter": strings.Repeat("x", 60_000)}
	}
	return evs
}

// TestMemoryIsBounded floods an intake whose log does not answer with messages
// of the largest size, in both lanes, until what waits to be taken is full, and
// once more: of these 50 MB at most the 8 MiB of each lane that may be asked for
// ahead are on the heap, and the rest in the stream. The server is in this process,
// so that its own caches are on both sides. Not parallel: others would be in the
// heap.
func TestMemoryIsBounded(t *testing.T) {
	r := newRig(t)
	r.check(stream.Ensure(t.Context(), natsdtest.JetStream(t, r.server, natsd.Operator),
		stream.Topology{ControlAckWait: time.Hour, AccessAckWait: time.Hour})) // nothing comes twice and takes the room
	const large, padded = 10, 40 // messages: those in hand are full of events, and that takes most when it is sealed
	published := 0
	for i := range large {
		published += r.flood(i%2 == 0, fat(fmt.Sprint("large", i), 15)...)
	}
	for i := range padded {
		published += r.flood(i%2 == 0, issued(fmt.Sprint("a", i)))
	}
	gate := &gatedLog{Log: r.log, at: 1, waiting: make(chan struct{}), open: make(chan struct{})}
	r.start(func(c *Config) { c.Log = gate })
	<-gate.waiting
	r.until("as much is delivered as there is room for", r.full)
	first := heap()
	for i := range large + padded {
		published += r.flood(i%2 == 0, issued(fmt.Sprint("b", i)))
	}
	grown := heap() - first
	t.Logf("heap %d MiB after the first %d MB, grown by %d MiB after as much again", first>>20, large+padded, grown>>20)
	if grown > 25e6 {
		t.Errorf("heap grown by %d MiB, more than half of what was published", grown>>20)
	}
	close(gate.open)
	r.drained()
	if got := len(r.facts()); got != published {
		t.Errorf("%d facts, want %d", got, published)
	}
}

// hostile is messages made to take as much memory as they can.
func hostile(t *testing.T) map[string]events.Message {
	t.Helper()
	const n = events.MaxMessageBytes
	upTo := func(head, each, tail string) string {
		return head + strings.Repeat(each, (n-len(head)-len(tail))/len(each)) + tail
	}
	data := func(head, each, tail string) string {
		return upTo(`{"specversion":"1.0","id":"a","source":"b","type":"`+string(events.TokenIssued)+`","time":"2026-01-02T03:04:05Z","data":{`+head, each, tail+"}}")
	}
	names := strings.Builder{}
	for i := 0; names.Len() < n-1000; i++ {
		fmt.Fprintf(&names, `,"%x":{}`, i)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(make([]byte, 100*n))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	evs := issuedMany("x", 2500)
	good, err := events.MarshalEvents(evs)
	if err != nil {
		t.Fatal(err)
	}
	json, batch := events.ContentTypeEvent, events.ContentTypeBatch
	proto, protoBatch := events.ContentTypeProtobuf, events.ContentTypeProtobufBatch
	out := map[string]events.Message{}
	for name, m := range map[string]struct{ contentType, body string }{
		"as many good events as fit":    {batch, string(good)},
		"one event of the largest size": {json, data(`"personal":{"a":"`, "x", `"}`)},
		"500 of the largest size":       {batch, "[" + strings.TrimSuffix(strings.Repeat(data(`"note":"`, "x", `"`)[:n/500-10]+`"}},`, 500), ",") + "]"},
		"the most empty events":         {batch, "[" + strings.Repeat("{},", events.MaxMessageEvents-1) + "{}]"},
		"the most empty protobufs":      {protoBatch, strings.Repeat("\x0a\x00", events.MaxMessageEvents)},
		"few empty events":              {batch, "[0,0,0,0]"},
		"a batch of zeros":              {batch, upTo("[", "0,", "0]")},
		"arrays":                        {json, strings.Repeat("[", n)},
		"objects inside each other":     {json, data(`"personal":`+strings.Repeat(`{"a":`, 9000), " ", "0"+strings.Repeat("}", 9000))},
		"empty objects":                 {json, data(`"personal":{"a":[`, "{},", "0]}")},
		"empty texts":                   {json, data(`"aud":[`, `"",`, `""]`)},
		"numbers":                       {json, data(`"personal":{"a":[`, "7,", "0]}")},
		"members":                       {json, data(`"personal":{"x":0`+names.String(), " ", "}")},
		"attributes":                    {json, `{"specversion":"1.0"` + names.String() + "}"},
		"an attribute again and again":  {proto, strings.Repeat("\x2a\x00", n/2)},
		"a length of 2 GiB":             {proto, "\x0a\xff\xff\xff\xff\x07x"},
		"lengths inside each other":     {proto, strings.Repeat("\x0a\x02", n/2)},
		"packed":                        {json, packed.String()},
	} {
		out[name] = events.Message{Tenant: "acme", Type: events.TokenIssued, ContentType: m.contentType, Body: []byte(m.body)}
	}
	return out
}

// TestNoMessageTakesManyTimesItself: what is made of a message is at most some 25
// times as large, and a few kilobytes, whoever made it. Not parallel: others would
// be in the heap.
func TestNoMessageTakesManyTimesItself(t *testing.T) {
	in := newRig(t).build()
	l := &lane{in: in.Intake, cfg: &in.cfg, lane: events.Access}
	for name, m := range hostile(t) {
		before := heap()
		c := l.chunk([]stream.IntakeMessage{{Message: m}})
		l.open(t.Context(), c)
		taken := heap() - before
		t.Logf("%s: %d bytes, %d events, %d bytes taken", name, len(m.Body), len(c.candidates), taken)
		if limit := 64<<10 + 30*int64(len(m.Body)); taken > limit {
			t.Errorf("%s: %d bytes take %d, %d times as much", name, len(m.Body), taken, taken/int64(len(m.Body)))
		}
		runtime.KeepAlive(c)
	}
}

// flood sends events in one message of a megabyte, what they leave of it filled
// with spaces, and is how many they are.
func (r *rig) flood(control bool, evs ...events.Event) int {
	r.Helper()
	for i := range evs {
		if control {
			evs[i].Type = events.TokenRevoked
		}
	}
	b, err := events.MarshalEvents(evs)
	r.check(err)
	body := append(bytes.Repeat([]byte(" "), 1e6-len(b)), b...)
	r.send(stream.EventSubject(evs[0].Tenant, evs[0].Type), events.ContentTypeBatch, body)
	return len(evs)
}

// full reports whether of each lane 10 messages of a flood are on this side: the
// 8 MiB that were looked at and wait to be taken.
func (r *rig) full() bool {
	r.Helper()
	for _, name := range []string{stream.ControlConsumer, stream.AccessConsumer} {
		c, err := r.js.Consumer(r.Context(), stream.IntakeStream, name)
		r.check(err)
		if c.CachedInfo().NumAckPending < 10 {
			return false
		}
	}
	return true
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what a finalizer or a pool held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRepeatsTakeNoRoom gives a writer chunk after chunk of what repeats an event,
// without ever saying that no more wait: of those that are through none is kept
// longer than the draft, and the draft no longer than some.
func TestRepeatsTakeNoRoom(t *testing.T) {
	t.Parallel()
	for name, repeats := range map[string]func(ev *events.Event){
		"duplicates": func(*events.Event) {}, "conflicts": func(ev *events.Event) { ev.Data.ClientID = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			in := r.build()
			ctx := t.Context()
			source, err := in.cfg.Open(ctx)
			r.check(err)
			t.Cleanup(source.Close)
			in.stats.writing(source)
			s, err := in.recover(ctx)
			r.check(err)
			w, err := s.writer(source.Created().UnixNano(), source.Last())
			r.check(err)
			l := &lane{in: in.Intake, cfg: &in.cfg, lane: events.Access, source: source}
			take := func(ev events.Event) {
				r.publish(ev)
				messages, err := source.Next(ctx, events.Access, chunkBytes)
				r.check(err)
				c := l.chunk(messages)
				in.stats.took(l.lane, c)
				l.open(ctx, c)
				l.seal(c, l.people(ctx, []*chunk{c}))
				r.check(w.take(ctx, c))
			}
			ev := issued("again")
			take(ev)
			repeats(&ev)
			for range 3 * mostWhole {
				take(ev)
				if len(w.whole) >= mostWhole || len(in.stats.hand) >= mostWhole {
					t.Fatalf("%d chunks are kept", len(w.whole))
				}
			}
			if got := in.Stats(); got.Records != 1 || got.Duplicates+got.Refused[events.ReasonConflict] != 3*mostWhole {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestTheDraftDoesNotWaitForTheQuarantine holds back what is to go into
// quarantine: what was taken beside it is logged.
func TestTheDraftDoesNotWaitForTheQuarantine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := &gatedQuarantine{Quarantine: r.quarantine, waiting: make(chan struct{}), open: make(chan struct{})}
	release := sync.OnceFunc(func() { close(gate.open) })
	in := r.start(func(c *Config) { c.Quarantine = gate })
	r.Cleanup(release)
	known := issued("known")
	r.publish(known)
	r.drained()
	known.Data.ClientID = "another"
	r.publishBatch(issued("new"), known)
	<-gate.waiting
	r.until("what is in the draft is logged", func() bool { return in.Stats().Records == 2 })
	release()
	r.drained()
	if got := r.quarantined(); len(got) != 1 || got[0].Reason != events.ReasonConflict {
		t.Errorf("quarantined: %+v", got)
	}
}

// gatedQuarantine holds the first entry back until it is let go.
type gatedQuarantine struct {
	*stream.Quarantine
	once          sync.Once
	waiting, open chan struct{}
}

func (q *gatedQuarantine) Put(ctx context.Context, v stream.Quarantined) error {
	q.once.Do(func() { close(q.waiting) })
	<-q.open
	return q.Quarantine.Put(ctx, v)
}

// TestFullIntakeReachesThePublisher fills a small intake stream behind a log
// that does not answer: the SDK waits and tries again, gives up in its time with
// an error, and whatever it said was published is in the log once.
func TestFullIntakeReachesThePublisher(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.check(stream.Ensure(t.Context(), natsdtest.JetStream(t, r.server, natsd.Operator), stream.Topology{IntakeMaxBytes: 8 << 20}))
	gate := &gatedLog{Log: r.log, at: 1, waiting: make(chan struct{}), open: make(chan struct{})}
	r.start(func(c *Config) { c.Log = gate })
	release := sync.OnceFunc(func() { close(gate.open) })
	r.Cleanup(release)
	p, err := stream.NewPublisher(stream.PublisherConfig{
		Conn: natsdtest.Connect(t, r.server, natsd.Issuer), Tenant: "acme", Environment: "test", Source: "//sdk", Keys: r.intakeKeys, RetryFor: time.Second,
	})
	r.check(err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })

	for i := range 6 {
		r.flood(false, issued(fmt.Sprint("flood", i)))
	}
	published := map[string]bool{}
	var refused *stream.NotAccepted
	for i := 0; refused == nil && i < 40; i++ {
		evs := fat(fmt.Sprint("a", i), 8)
		for _, ev := range evs {
			published[ev.ID] = true
		}
		if err := p.Publish(t.Context(), evs...); err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	if refused == nil {
		t.Fatal("an intake of 8 MiB took 25 MB that went nowhere")
	}
	for _, f := range refused.Events {
		if !errors.Is(f.Err, stream.ErrUnconfirmed) {
			t.Fatalf("not to be tried again: %v", f.Err)
		}
		delete(published, f.Event.ID)
	}
	// One that is waiting for room gets it.
	waits, err := stream.NewPublisher(stream.PublisherConfig{
		Conn: natsdtest.Connect(t, r.server, natsd.Issuer), Tenant: "acme", Environment: "test", Source: "//sdk", Keys: r.intakeKeys, RetryFor: patience,
	})
	r.check(err)
	t.Cleanup(func() { _ = waits.Close(context.Background()) })
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for _, ev := range fat("patient", 8) {
			if err := waits.Publish(t.Context(), ev); err != nil {
				t.Errorf("after waiting: %v", err)
			}
		}
	})
	release()
	waiting.Wait()
	r.drained()
	facts := r.facts()
	for id := range published {
		if facts[id].Record == nil {
			t.Errorf("%s was acknowledged and is not in the log", id)
		}
	}
	for i := range 8 {
		if id := fmt.Sprintf("patient-%04d", i); facts[id].Record == nil {
			t.Errorf("%s is not in the log", id)
		}
	}
}

// TestIntakeStreamMadeAgainUnderneath removes the intake stream under a writer
// and makes it anew: sequences count from one again, and nothing that comes now
// is taken for what was dealt with.
func TestIntakeStreamMadeAgainUnderneath(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start(r.elected)
	r.publish(issued("a"), issued("b"), revoked("a"))
	r.until("all logged", func() bool { return in.Stats().Records == 3 })
	operator := natsdtest.JetStream(t, r.server, natsd.Operator)
	r.check(operator.DeleteStream(t.Context(), stream.IntakeStream))
	r.check(stream.Ensure(t.Context(), operator, stream.Topology{}))
	r.publish(issued("c"), issued("d"), revoked("c"))
	r.until("all logged", func() bool { return in.Stats().Records == 6 })
	if got := len(r.facts()); got != 6 {
		t.Errorf("%d facts, want 6", got)
	}
	if s := in.Stats(); s.Terms != 2 || s.Skipped != 0 || s.Reads != 1 {
		t.Errorf("%+v", s)
	}
}

// TestIntakeStreamThatLostItsEnd has the stream give sequences anew that were
// dealt with, while the server's clock is behind what it was: nothing that comes
// now is taken for what came then.
func TestIntakeStreamThatLostItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := make(chan time.Time, 1)
	first := r.start(onSource(func(s Source) Source { created <- s.Created(); return s }))
	r.publish(issued("a"), issued("b"), issued("c"))
	r.drained()
	first.stop()
	operator := natsdtest.JetStream(t, r.server, natsd.Operator)
	r.check(operator.DeleteStream(t.Context(), stream.IntakeStream))
	r.check(stream.Ensure(t.Context(), operator, stream.Topology{}))
	was := <-created
	r.start(onSource(func(s Source) Source { return rewound{s, was} }))
	r.publish(issued("d"), issued("e"))
	r.drained()
	if got := r.facts(); len(got) != 5 {
		t.Errorf("%d facts, want 5", len(got))
	}
}

// rewound is a source whose stream is the one of before, by what it says, and
// whose server's clock went back.
type rewound struct {
	Source
	created time.Time
}

func (s rewound) Created() time.Time { return s.created }

func (s rewound) Next(ctx context.Context, lane events.Lane, maxBytes int) ([]stream.IntakeMessage, error) {
	messages, err := s.Source.Next(ctx, lane, maxBytes)
	for i := range messages {
		messages[i].Received = messages[i].Received.Add(-time.Hour)
	}
	return messages, err
}
