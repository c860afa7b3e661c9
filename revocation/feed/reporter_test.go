package feed

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/sleep"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// However fast the view moves, a receipt comes each 10 ms at most, and the last
// one says where it is.
func TestReceiptsAreCoalesced(t *testing.T) {
	t.Parallel()
	const moves = 20_000
	s := natsdtest.Start(t)
	heard := make(chan *nats.Msg, moves)
	listening := natsdtest.Connect(t, s, natsd.API)
	if _, err := listening.ChanSubscribe(stream.LiveVerifiers, heard); err != nil {
		t.Fatal(err)
	}
	if err := listening.FlushTimeout(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	f := New(Config{Conn: natsdtest.Connect(t, s, natsd.Verifier), PublicKey: feedtest.Public(), Name: "orders"})
	ctx, stop := context.WithCancel(t.Context())
	f.report(ctx)
	began := time.Now()
	for n := range uint64(moves) {
		f.show(&view{position: n + 1, heard: began})
		if n%100 == 0 { // a busy loop would leave the reporter no time
			_ = sleep.For(ctx, time.Millisecond)
		}
	}
	n := 0
	for at := uint64(0); at < moves; n++ {
		select {
		case m := <-heard:
			r, err := revocation.ParseReceipt(m.Data)
			if err != nil || len(r.Places) > 0 && r.Places[0].Position < at {
				t.Fatalf("after position %d: %+v, %v", at, r, err)
			}
			if len(r.Places) > 0 {
				at = r.Places[0].Position
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("the last receipt says %d", at)
		}
	}
	took := time.Since(began)
	stop()
	f.beside.Wait()
	if most := int(took/receiptApart) + int(took/receiptEvery) + 3; n < 5 || n > most {
		t.Errorf("%d receipts in %s, want 5 to %d", n, took, most)
	}
}
