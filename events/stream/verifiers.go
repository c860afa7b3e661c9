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

// KeptVerifiers is every verifier that is kept, those that were heard of last
// at the end. One that sends while it is read may be there twice.
func KeptVerifiers(ctx context.Context, nc *nats.Conn) (all []KeptVerifier, err error) {
	for from := uint64(1); ; {
		page, err := nextOf(ctx, nc, VerifiersStream, VerifierSubjects, from, math.MaxInt)
		if err != nil {
			return nil, fmt.Errorf("read stream %s from seq=%d: %w", VerifiersStream, from, err)
		}
		if len(page) == 0 {
			return all, nil
		}
		for _, m := range page {
			all = append(all, KeptVerifier{ID: VerifierOf(m.Subject), Data: m.Data, Time: m.Time})
		}
		from = page[len(page)-1].Seq + 1
	}
}
