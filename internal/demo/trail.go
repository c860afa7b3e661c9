package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rescindhq/rescind/internal/client"
)

const purpose = "demo"

// expected is what the trail of the subject holds by the time it is read: the
// consent, the token, three verifications and three refusals.
var expected = map[string]int{
	"dev.rescind.consent.granted.v1": 1, "dev.rescind.token.issued.v1": 1, "dev.rescind.token.verified.v1": 3, "dev.rescind.token.rejected.v1": 3,
}

func (p *player) readTrail(ctx context.Context) (string, error) {
	by := map[string]any{"tenant": tenant, "issuer": issuerName, "subject": subject, "open": true, "purpose": purpose}
	evs, err := p.search(ctx, by, func(evs []client.Event) bool { return holds(evs, expected) })
	p.story.Before = evs
	if err != nil {
		return "", err
	}
	if err := p.addRevocation(ctx); err != nil {
		return "", err
	}
	for _, e := range evs {
		if expected[e.Type] > 0 && e.Personal["sub"] != subject {
			return "", fmt.Errorf("event %d: the personal part was not opened: %w", e.Index, errUnexpected)
		}
		if e.SubjectRef != "" {
			p.ref = e.SubjectRef
		}
	}
	return fmt.Sprintf("%d events of the subject, opened for the purpose %q, which is itself recorded", len(evs), purpose), nil
}

// addRevocation adds the revocation to the trail. It names the token and not
// the person, so it is found by the token.
func (p *player) addRevocation(ctx context.Context) error {
	by := map[string]any{"tenant": tenant, "issuer": issuerName, "jti": p.jti, "type": "token.revoked"}
	evs, err := p.search(ctx, by, func(evs []client.Event) bool { return len(evs) == 1 })
	if err != nil {
		return err
	}
	p.story.Before = append(p.story.Before, evs...)
	slices.SortFunc(p.story.Before, func(a, b client.Event) int { return cmp.Compare(a.Index, b.Index) })
	return nil
}

// forget asks for erasure, verifies and approves it as three people would.
func (p *player) forget(ctx context.Context) (string, error) {
	in := map[string]any{"type": "erasure", "regulation": "gdpr", "tenant": tenant, "subject": map[string]string{"iss": issuerName, "sub": subject}}
	var r client.Request
	if err := p.api["handler"].Call(ctx, "POST", "/v1/requests", in, &r); err != nil {
		return "", err
	}
	path := "/v1/requests/" + r.ID
	if err := p.api["handler"].Call(ctx, "POST", path+"/verify", map[string]string{}, &r); err != nil {
		return "", err
	}
	if err := p.api["approver"].Call(ctx, "POST", path+"/approve", map[string]string{}, &r); err != nil {
		return "", err
	}
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		err := p.api["handler"].Call(ctx, "GET", path, nil, &r)
		return r.State == "completed", err
	})
	p.story.Request = &r
	if err != nil {
		return "", fmt.Errorf("the request is %s: %w", r.State, err)
	}
	if r.Outcome != "erased" {
		return "", fmt.Errorf("the outcome is %s: %w", r.Outcome, errUnexpected)
	}
	return "received and verified by one person, approved by another; tokens revoked, key and reference destroyed", nil
}

func (p *player) readTrailAgain(ctx context.Context) (string, error) {
	by := map[string]any{"tenant": tenant, "subject_ref": p.ref, "open": true, "purpose": purpose}
	evs, err := p.search(ctx, by, func(evs []client.Event) bool { return covers(evs, p.story.Before) })
	p.story.After = evs
	if err != nil {
		return "", err
	}
	for _, e := range evs {
		if len(e.Personal) > 0 {
			return "", fmt.Errorf("event %d can still be read: %w", e.Index, errUnexpected)
		}
	}
	return fmt.Sprintf("all %d events are there, nothing personal can be read", len(evs)), nil
}

// search reads the whole trail until it is as it should be.
func (p *player) search(ctx context.Context, by map[string]any, good func([]client.Event) bool) (evs []client.Event, err error) {
	by["limit"] = 1000
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		var out client.Trail
		err := p.api["officer"].Call(ctx, "POST", "/v1/audit/search", by, &out)
		evs = out.Events
		return good(evs), err
	})
	return evs, err
}

// holds reports whether evs has as many events of each type as want says.
func holds(evs []client.Event, want map[string]int) bool {
	got := map[string]int{}
	for _, e := range evs {
		got[e.Type]++
	}
	for t, n := range want {
		if got[t] < n {
			return false
		}
	}
	return true
}

// covers reports whether evs has every event of before.
func covers(evs, before []client.Event) bool {
	there := map[uint64]bool{}
	for _, e := range evs {
		there[e.Index] = true
	}
	for _, e := range before {
		if e.SubjectRef != "" && !there[e.Index] {
			return false
		}
	}
	return len(before) > 0
}

// poll asks every 100 ms until the answer is yes, as long as there is patience.
func poll(ctx context.Context, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s: %w", patience, errUnexpected))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
