package feed_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// listen hears the receipts of every verifier.
func (h *house) listen(t *testing.T) chan *nats.Msg {
	t.Helper()
	out := make(chan *nats.Msg, 10_000)
	nc := natsdtest.Connect(t, h.server, natsd.API)
	if _, err := nc.ChanSubscribe(stream.LiveVerifiers, out); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	return out
}

// next is the next receipt that want accepts.
func next(t *testing.T, in <-chan *nats.Msg, what string, want func(revocation.Receipt) bool) revocation.Receipt {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case m := <-in:
			r, err := revocation.ParseReceipt(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if r.ID != stream.VerifierOf(m.Subject) {
				t.Fatalf("receipt of %s on %s", r.ID, m.Subject)
			}
			if want(r) {
				return r
			}
		case <-deadline:
			t.Fatalf("no receipt: %s", what)
		}
	}
}

func position(n uint64) func(revocation.Receipt) bool {
	return func(r revocation.Receipt) bool { return len(r.Places) == 1 && r.Places[0].Position >= n }
}

func named(name string) func(*feed.Config) {
	return func(c *feed.Config) { c.Name = name }
}

// A receipt says what the verifier decides at: what it reports is refused.
func TestReceiptsSayWhatIsDecidedAt(t *testing.T) {
	t.Parallel()
	h := start(t)
	heard := h.listen(t)
	f := h.verify(t, named("orders"))
	first := next(t, heard, "the first", func(revocation.Receipt) bool { return true })
	for n := range 20 {
		at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(n))
		r := next(t, heard, "the revocation", position(at))
		if d := f.Decide(feedtest.Claims(n)); d.State != revocation.Revoked {
			t.Errorf("reported at %d, and the decision is %s", at, d.State)
		}
		head := f.Status().Head
		if r.Name != "orders" || r.ID != first.ID || r.Instance != first.Instance || r.Places[0].Epoch != head.Epoch || r.Feed != head.Feed || r.Seq == 0 || r.Doubt != "" || r.Stopped {
			t.Errorf("got %+v", r)
		}
	}
}

// A position without the keys that read what is there is not reported.
func TestReceiptsWaitForKeys(t *testing.T) {
	t.Parallel()
	h := start(t)
	heard := h.listen(t)
	f := h.verify(t, named("orders"))
	awaitReady(t, f)
	h.keys.Down(true)
	h.log.Key = feedtest.Key(2)
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	feedtest.Eventually(t, "the delta", func() bool { return f.Status().Head.Position >= at })
	seq := f.Status().Head.Seq
	if r := next(t, heard, "behind the delta", func(r revocation.Receipt) bool { return r.Seq >= seq }); r.Places[0].Position >= at {
		t.Errorf("got %+v", r)
	}
	h.keys.Set(feedtest.Key(1), feedtest.Key(2))
	h.keys.Down(false)
	next(t, heard, "with the keys", position(at))
	if d := f.Decide(feedtest.Claims(1)); d.State != revocation.Revoked {
		t.Errorf("got %+v", d)
	}
}

// One that has nothing to say says so each second.
func TestReceiptsComeWithoutChanges(t *testing.T) {
	t.Parallel()
	h := start(t)
	heard := h.listen(t)
	awaitReady(t, h.verify(t, named("orders")))
	for range 3 {
		began := time.Now()
		next(t, heard, "another", func(revocation.Receipt) bool { return true })
		if since := time.Since(began); since > 30*time.Second {
			t.Errorf("waited %s", since)
		}
	}
	h.stop() // and the view grows stale
	next(t, heard, "stale", func(r revocation.Receipt) bool { return r.Doubt == revocation.CauseStale && r.Age > time.Second })
}

func TestVerifierWithoutAViewIsRegisteredAsCold(t *testing.T) {
	t.Parallel()
	h := &house{server: natsdtest.Start(t)}
	heard := h.listen(t)
	h.verify(t, named("orders")) // nobody writes
	if r := next(t, heard, "cold", func(revocation.Receipt) bool { return true }); r.Doubt != revocation.CauseCold || len(r.Places) != 0 {
		t.Errorf("got %+v", r)
	}
	api := natsdtest.Connect(t, h.server, natsd.API)
	feedtest.Eventually(t, "kept as well: that is sent behind what was heard", func() bool {
		kept, err := stream.KeptVerifiers(t.Context(), api)
		return err == nil && len(kept) == 1
	})
}

// One that stops in order says so, on both subjects, before Run returns.
func TestVerifierTakesLeave(t *testing.T) {
	t.Parallel()
	h := start(t)
	heard := h.listen(t)
	conn := natsdtest.Connect(t, h.server, natsd.Verifier)
	f := feed.New(feed.Config{Conn: conn, PublicKey: feedtest.Public(), Name: "orders", ID: "v-1"})
	stop := feedtest.Go(t, f.Run)
	awaitReady(t, f)
	stop()
	conn.Close()
	next(t, heard, "leave", func(r revocation.Receipt) bool { return r.Stopped && r.ID == "v-1" })
	var last revocation.Receipt
	feedtest.Eventually(t, "leave is kept", func() bool {
		kept, err := stream.KeptVerifiers(t.Context(), natsdtest.Connect(t, h.server, natsd.API))
		if err != nil || len(kept) != 1 {
			t.Fatalf("%v, %v", kept, err)
		}
		if last, err = revocation.ParseReceipt(kept[0].Data); err != nil {
			t.Fatal(err)
		}
		return last.Stopped
	})
}

func TestVerifierWithoutANameSaysNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	heard := h.listen(t)
	silent := h.verify(t)
	awaitReady(t, silent)
	loud := h.verify(t, named("loud"))
	awaitReady(t, loud)
	at := h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	feedtest.Eventually(t, "position", func() bool { return silent.Position() >= at })
	for range 3 {
		if r := next(t, heard, "any", func(revocation.Receipt) bool { return true }); r.Name != "loud" {
			t.Errorf("got %+v", r)
		}
	}
}

// What could not be said in time is not said later: by then it is not true.
func TestNothingIsSaidAfterACut(t *testing.T) {
	t.Parallel()
	h := start(t)
	heard := h.listen(t)
	p := newProxy(t, h.server.URL())
	f := h.verify(t, named("orders"), func(c *feed.Config) { c.Conn = p.connect(t, h.server) })
	awaitReady(t, f)
	h.stop()
	stored, err := natsdtest.JetStream(t, h.server, natsd.Projector).Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	last := stored.CachedInfo().State.LastSeq // one that came after the cut would make the view fresh again
	feedtest.Eventually(t, "all that was published", func() bool { return f.Status().Head.Seq == last })
	p.cut()
	feedtest.Eventually(t, "stale", func() bool { return f.Status().Doubt == revocation.CauseStale })
	for len(heard) > 0 {
		<-heard
	}
	cut := time.Now()
	p.mend()
	if r := next(t, heard, "after the cut", func(revocation.Receipt) bool { return true }); r.At.Before(cut) || r.Doubt != revocation.CauseStale {
		t.Errorf("at %s after the cut came %+v", r.At.Sub(cut), r)
	}
}

// A verifier with a folder is the same one after a restart, in another process.
func TestVerifierIsTheSameAfterARestart(t *testing.T) {
	t.Parallel()
	h := start(t)
	heard := h.listen(t)
	dir := filepath.Join(t.TempDir(), "feed")
	var before revocation.Receipt
	for range 2 {
		f := feed.New(feed.Config{Conn: natsdtest.Connect(t, h.server, natsd.Verifier), PublicKey: feedtest.Public(), Name: "orders", Dir: dir})
		stop := feedtest.Go(t, f.Run)
		awaitReady(t, f)
		stop()
		r := next(t, heard, "leave", func(r revocation.Receipt) bool { return r.Stopped })
		if before.ID != "" && (r.ID != before.ID || r.Instance == before.Instance) {
			t.Errorf("before %+v, after %+v", before, r)
		}
		before = r
	}
	if info, err := os.Stat(filepath.Join(dir, "verifier")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
