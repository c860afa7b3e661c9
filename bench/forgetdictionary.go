package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/canary"
	"github.com/rescindhq/rescind/internal/workload"
)

// dictionary tries guesses of addresses on all that a stack stores, some of which
// are right: in clear, and every digest of each that needs no key. One that is
// found is an error, and so is not to find the one that was put there.
func (b *forgetting) dictionary(ctx context.Context) error {
	if err := b.populate(ctx); err != nil {
		return err
	}
	corpus, err := canary.Read(b.dir)
	if err != nil {
		return err
	}
	b.add(alone("dictionary/bytes", "B", float64(corpus.Bytes())))
	began := time.Now()
	found := corpus.Attack(tenant, workload.Issuer, b.cfg.Candidates, address)
	b.add(alone("dictionary/rate", "candidates/s", float64(b.cfg.Candidates)/time.Since(began).Seconds()))
	for _, m := range found {
		if m.Candidate != address(0) {
			return fmt.Errorf("%s of %s gives away a person", m.Digest, m.Of)
		}
	}
	if len(found) == 0 {
		return errors.New("the digest that was put there is not found")
	}
	b.add(alone("dictionary/matches", "people", 0))
	return nil
}

// address is a guess.
func address(i int) string { return fmt.Sprintf("user%07d@example.com", i) }

// populate tells of people all over the candidates, and of the first of them a digest
// in clear: what a publisher must not do, and the guesses have to find.
func (b *forgetting) populate(ctx context.Context) error {
	from, err := b.mark(ctx)
	if err != nil {
		return err
	}
	pub, err := b.sdk(sdkBatch)
	if err != nil {
		return err
	}
	step := b.cfg.Candidates / b.cfg.Known
	for i := range b.cfg.Known {
		ev := events.Event{
			ID: fmt.Sprint("known-", i), Source: "//orders.example.com", Type: events.TokenVerified, Tenant: tenant, Time: time.Now(),
			Data: events.Data{Issuer: workload.Issuer, Subject: address(i * step), TokenID: fmt.Sprint("jti-", i), ClientID: "orders"},
		}
		if i == 0 {
			canary.Digests(tenant, workload.Issuer, address(0), func(_, _ string, sum []byte) {
				if ev.Data.Attributes == nil {
					ev.Data.Attributes = map[string]string{"digest": fmt.Sprintf("%x", sum)}
				}
			})
		}
		if err := pub.Queue(ctx, ev); err != nil {
			return err
		}
	}
	if err := pub.Close(ctx); err != nil {
		return err
	}
	return b.untilRows(ctx, from, uint64(b.cfg.Known))
}
