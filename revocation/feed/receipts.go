package feed

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

const (
	receiptEvery  = time.Second           // with nothing new to say
	receiptApart  = 10 * time.Millisecond // at least
	registerEvery = time.Minute
	goodbyeWait   = time.Second // for it to be on the wire
)

// reporter says how far the feed is, to whoever asks whether a revocation is
// enforced. It is never in the way of the feed: it looks at the view from
// beside, and what it says may be lost.
type reporter struct {
	feed       *Feed
	id         string
	instance   string
	started    time.Time
	registered time.Time // zero before the first time
}

// report reports in the background until ctx is done, where there is a name to
// report under.
func (f *Feed) report(ctx context.Context) {
	if f.cfg.Name == "" {
		return
	}
	r := &reporter{feed: f, id: f.identity(), instance: rand.Text(), started: f.cfg.Now()}
	f.beside.Go(func() { r.run(ctx) })
}

// identity is the id of this verifier: what is configured, or was kept in Dir,
// or is made up now.
func (f *Feed) identity() string {
	if f.cfg.ID != "" {
		return f.cfg.ID
	}
	if f.cfg.Dir == "" {
		return rand.Text()
	}
	if saved, ok := f.read(verifierFile); ok && revocation.ValidVerifierID(string(saved)) {
		return string(saved)
	}
	id := rand.Text()
	f.write(verifierFile, []byte(id))
	return id
}

// run says something when the view has moved, but not too often, and each
// second in any case.
func (r *reporter) run(ctx context.Context) {
	beat := time.NewTicker(receiptEvery)
	defer beat.Stop()
	apart := time.NewTimer(0)
	defer apart.Stop()
	var moved <-chan struct{} // nil until apart has passed
	for {
		select {
		case <-moved:
			r.tell(false)
			moved = nil
			apart.Reset(receiptApart)
		case <-apart.C:
			moved = r.feed.moved
		case <-beat.C:
			r.tell(false)
		case <-ctx.Done():
			r.tell(true)
			return
		}
	}
}

// tell reports the view as it is. Without a connection nothing is said: what
// the client would keep and send later is not true by then.
func (r *reporter) tell(stopped bool) {
	conn := r.feed.cfg.Conn
	if !conn.IsConnected() {
		return
	}
	receipt := r.receipt(stopped)
	data, err := receipt.Marshal()
	if err == nil {
		err = conn.Publish(stream.LiveVerifier(r.id), data)
	}
	if err == nil && (stopped || receipt.At.Sub(r.registered) >= registerEvery) {
		err = conn.Publish(stream.VerifierSubject(r.id), data)
		r.registered = receipt.At
	}
	if err == nil && stopped {
		err = conn.FlushTimeout(goodbyeWait)
	}
	if err != nil {
		r.feed.cfg.Log.Warn("receipt not sent", "err", err)
	}
}

func (r *reporter) receipt(stopped bool) revocation.Receipt {
	f := r.feed
	out := revocation.Receipt{ID: r.id, Name: f.cfg.Name, Instance: r.instance, Started: r.started, At: f.cfg.Now(), Stopped: stopped, Doubt: revocation.CauseCold}
	v := f.view.Load()
	if v == nil {
		return out
	}
	out.Feed, out.Seq, out.Age, out.Doubt = v.head.Feed, v.head.Seq, v.age(out.At), v.doubt
	if out.Doubt == "" && out.Age > f.cfg.StaleAfter {
		out.Doubt = revocation.CauseStale
	}
	out.Places = append(out.Places, revocation.Reached{Epoch: v.head.Epoch, Position: v.position})
	for k, p := range v.head.Others {
		reached := revocation.Reached{Epoch: p.Epoch}
		if k < len(v.others) {
			reached.Position = v.others[k].Position
		}
		out.Places = append(out.Places, reached)
	}
	return out
}
