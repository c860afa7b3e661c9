package stream

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go"
)

// KeptVerifier is what is kept of one verifier.
type KeptVerifier struct {
	ID   string
	Data []byte // as it sent it: it may be anything
	Time time.Time
}

// KeptVerifiers is every verifier that is kept, once each.
func KeptVerifiers(ctx context.Context, nc *nats.Conn) (all []KeptVerifier, err error) {
	at := map[string]int{} // one that sends while it is read is read twice
	for from := uint64(1); ; {
		page, err := nextOf(ctx, nc, VerifiersStream, VerifierSubjects, from, math.MaxInt)
		if err != nil {
			return nil, fmt.Errorf("read stream %s from seq=%d: %w", VerifiersStream, from, err)
		}
		for _, m := range page {
			k := KeptVerifier{ID: VerifierOf(m.Subject), Data: m.Data, Time: m.Time}
			if n, again := at[k.ID]; again {
				all[n] = k
				continue
			}
			at[k.ID] = len(all)
			all = append(all, k)
		}
		if len(page) < pageMessages { // the end, however fast others write: not to follow them
			return all, nil
		}
		from = page[len(page)-1].Seq + 1
	}
}
