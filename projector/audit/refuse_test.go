package audit

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestALogThatIsNotToBeFollowed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*events.Batch){
		"a hole":                  func(b *events.Batch) { b.Header.First++; b.Header.Size++ },
		"a step back":             func(b *events.Batch) { b.Header.First -= 5; b.Header.Size -= 5 },
		"another shard":           func(b *events.Batch) { b.Header.Shard = 1 },
		"an older writer":         func(b *events.Batch) { b.Header.Epoch = 0 },
		"an unknown version":      func(b *events.Batch) { b.Header.Version = 2 },
		"a record cut short":      func(b *events.Batch) { b.Items[1].Record = b.Items[1].Record[:9] },
		"a record with more":      func(b *events.Batch) { b.Items[1].Record = append(b.Items[1].Record, 0) },
		"another sealed part":     func(b *events.Batch) { b.Items[1].Sealed = []byte("forged") },
		"a sealed part too many":  func(b *events.Batch) { b.Items[0].Sealed = []byte("forged") },
		"a count that is not one": func(b *events.Batch) { b.Header.Count, b.Header.Size = 9, b.Header.First+9 },
	} {
		w := &world{t: t, random: rand.New(rand.NewPCG(1, 2))}
		w.batches = []events.Batch{w.batch(6)}
		bad := w.batch(3)
		at := Position{Next: 6, Seq: 1, Epoch: 1}
		if _, err := new(chunk).add(message(t, 2, bad), 0, at); err != nil {
			t.Fatalf("before it was spoilt: %v", err)
		}
		if _, err := new(chunk).add(message(t, 3, bad), 0, at); !errors.Is(err, ErrLog) {
			t.Errorf("a message is left out: err %v", err)
		}
		spoil(&bad)
		c := new(chunk)
		if to, err := c.add(message(t, 2, bad), 0, at); !errors.Is(err, ErrLog) || !strings.Contains(err.Error(), "seq=2") {
			t.Errorf("%s: err %v", name, err)
		} else if to != at || len(c.rows)+len(c.items)+len(c.batches)+c.bytes != 0 {
			t.Errorf("%s: something of it was taken in", name)
		}
	}
}

func message(t *testing.T, seq uint64, b events.Batch) *stream.LogMessage {
	t.Helper()
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return &stream.LogMessage{Seq: seq, Data: data}
}

func TestNothingIsWrittenPastWhatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(6)
	w.appendRaw([]byte("not a batch"))
	w.append(1)
	for range 2 { // a restart changes nothing
		p, stop := w.start(w.config(w.direct))
		await(t, "the projector stops", func() bool { return p.Status().Stopped })
		if err := stop(); !errors.Is(err, ErrLog) || !strings.Contains(err.Error(), "seq=2") {
			t.Fatalf("err %v", err)
		}
	}
	w.batches = w.batches[:1]
	w.requireExact()
}

func TestALogThatWentBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(6, 2)
	p, stop := w.start(w.config(w.direct))
	w.awaitAll(p)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	shorter := newWorld(t)
	shorter.append(6)
	cfg := w.config(w.direct)
	cfg.Read = shorter.read
	p, stop = w.start(cfg)
	await(t, "the projector stops", func() bool { return p.Status().Stopped })
	if err := stop(); !errors.Is(err, stream.ErrLogReplaced) {
		t.Fatalf("err %v", err)
	}
	w.requireExact()
}

// TestALogThatIsReplacedUnderIt has another log in the place of the one that is
// being read, which begins anew and grows past it.
func TestALogThatIsReplacedUnderIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(6, 2)
	p, stop := w.start(w.config(w.direct))
	w.awaitAll(p)
	recorded := w.batches
	operator := natsdtest.JetStream(t, w.server, natsd.Operator)
	if err := operator.DeleteStream(t.Context(), stream.LogStream); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), operator, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	w.log, w.batches, w.seq = w.openLog(), nil, 0
	w.append(3, 3, 3, 3)
	await(t, "the projector stops", func() bool { return p.Status().Stopped })
	if err := stop(); !errors.Is(err, stream.ErrLogReplaced) {
		t.Fatalf("err %v", err)
	}
	w.batches = recorded
	w.requireExact()
}

// TestTablesThatDisagreeWithTheLog puts something into the tables above what is
// recorded, as no projector would.
func TestTablesThatDisagreeWithTheLog(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"a record twice":              "INSERT INTO events SELECT * FROM events WHERE `index` = 7",
		"a record that differs":       "INSERT INTO events SELECT * REPLACE (8 AS `index`) FROM (SELECT * FROM events WHERE `index` = 7)",
		"a sealed part twice":         "INSERT INTO payloads SELECT * FROM payloads WHERE `index` = 7",
		"a sealed part that differs":  "INSERT INTO payloads SELECT * REPLACE (8 AS `index`) FROM (SELECT * FROM payloads WHERE `index` = 7)",
		"a sealed part of no record":  "INSERT INTO payloads SELECT * REPLACE (9 AS `index`) FROM (SELECT * FROM payloads WHERE `index` = 7)",
		"a batch twice":               "INSERT INTO batches SELECT * FROM batches",
		"a batch that does not join":  "INSERT INTO batches SELECT * REPLACE (9 AS first) FROM batches",
		"a batch that says it covers": "INSERT INTO batches SELECT * REPLACE (6 AS first, 5 AS count, 11 AS size, 99 AS seq) FROM batches",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.append(6)
			p, stop := w.start(w.config(w.direct))
			w.awaitAll(p)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			w.append(4)
			leaveUnrecorded(w)
			w.exec(spoil)
			p, stop = w.start(w.config(w.direct))
			await(t, "the projector stops", func() bool { return p.Status().Stopped })
			if err := stop(); !errors.Is(err, ErrTables) && !errors.Is(err, stream.ErrLogReplaced) {
				t.Fatalf("err %v", err)
			}
			if n := w.count("SELECT count() FROM batches WHERE first = 6 AND holder != ''") - w.count("SELECT count() FROM batches WHERE seq = 99"); n != 0 {
				t.Fatal("it was recorded all the same")
			}
		})
	}
}

// leaveUnrecorded leaves records 6 and 7 as a projector does that dies before
// it records their batch.
func leaveUnrecorded(w *world) {
	w.t.Helper()
	p, err := New(w.config(w.direct))
	if err != nil {
		w.t.Fatal(err)
	}
	f, there, err := p.recover(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	msg, err := w.log.Get(w.t.Context(), 2)
	if err != nil {
		w.t.Fatal(err)
	}
	c := new(chunk)
	if _, err := c.add(&msg, 0, there.Position); err != nil {
		w.t.Fatal(err)
	}
	c.rows, c.items, c.batches = c.rows[:2], c.items[:2], nil
	if err := store(w.t.Context(), f, c, there, true); err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatIsThereIsNotInsertedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(6, 4)
	// Records 0 to 5 are recorded, 6 and 7 are there, the rest is not.
	p, stop := w.start(w.config(w.direct))
	w.awaitAll(p)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.exec("TRUNCATE TABLE batches") // position 0: everything is there, nothing is recorded
	w.append(2)
	p, _ = w.start(w.config(w.direct))
	w.awaitAll(p)
	w.requireExact()
}
