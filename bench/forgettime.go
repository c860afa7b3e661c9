package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/workload"
)

// openEvery is how often somebody tries to read what is being erased.
const openEvery = 2 * time.Millisecond

// time is from the approval until what is sealed of somebody opens to nobody, and
// until the request is completed, for people about whom there is little and much.
func (b *forgetting) time(ctx context.Context) error {
	t := timing{rig: b.rig}
	var least []float64
	for _, n := range b.cfg.Events {
		runs := max(1, min(b.cfg.Runs, mostEvents/n))
		unreadable, completed, err := t.runs(ctx, n, runs)
		if err != nil {
			return fmt.Errorf("%d events: %w", n, err)
		}
		if least == nil {
			least = unreadable
		}
		b.add(compare(fmt.Sprintf("forget/unreadable_%d", n), "ms", unreadable, fmt.Sprintf("the same of somebody with %d", b.cfg.Events[0]), least))
		b.add(alone(fmt.Sprintf("forget/completed_%d", n), "ms", completed...))
	}
	return nil
}

// timing forgets people, one after the other.
type timing struct {
	*rig
	people int
}

func (t *timing) runs(ctx context.Context, n, runs int) (unreadable, completed []float64, err error) {
	for range runs {
		t.people++
		who := fmt.Sprintf("person-%d@example.com", t.people)
		if err := t.live(ctx, who, n); err != nil {
			return nil, nil, err
		}
		gone, done, err := t.forget(ctx, who)
		if err != nil {
			return nil, nil, err
		}
		unreadable, completed = append(unreadable, milliseconds(gone)), append(completed, milliseconds(done))
	}
	return unreadable, completed, nil
}

// live has n things happen to somebody, and waits until each has its row.
func (t *timing) live(ctx context.Context, who string, n int) error {
	from, err := t.mark(ctx)
	if err != nil {
		return err
	}
	pub, err := t.sdk(sdkBatch)
	if err != nil {
		return err
	}
	for i := range n {
		ev := events.Event{
			ID: fmt.Sprintf("%d-%d", t.people, i), Source: "//orders.example.com", Type: events.TokenVerified, Tenant: tenant, Time: time.Now(),
			Data: events.Data{Issuer: workload.Issuer, Subject: who, TokenID: fmt.Sprintf("jti-%d-%d", t.people, i/100), ClientID: "orders", IP: "192.0.2.1", UserAgent: "curl/8.9"},
		}
		if err := pub.Queue(ctx, ev); err != nil {
			return err
		}
	}
	if err := pub.Close(ctx); err != nil {
		return err
	}
	return t.untilRows(ctx, from, uint64(n))
}

func (t *timing) as(role string) *client.Client {
	return client.New(t.stack.File.HTTP, t.stack.File.Tokens[role])
}

// forget has somebody forgotten, and says how long after the approval was sent
// nothing of theirs opened, and the request was completed.
func (t *timing) forget(ctx context.Context, who string) (unreadable, completed time.Duration, err error) {
	ref, err := t.reference(ctx, who)
	if err != nil {
		return 0, 0, err
	}
	var r client.Request
	in := map[string]any{"type": "erasure", "regulation": "gdpr", "tenant": tenant, "subject": map[string]string{"iss": workload.Issuer, "sub": who}}
	if err := t.as("handler").Call(ctx, "POST", "/v1/requests", in, &r); err != nil {
		return 0, 0, err
	}
	path := "/v1/requests/" + r.ID
	if err := recorded(t.as("handler").Call(ctx, "POST", path+"/verify", map[string]any{}, nil)); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := recorded(t.as("approver").Call(ctx, "POST", path+"/approve", map[string]any{}, nil)); err != nil {
		return 0, 0, err
	}
	if err := poll(ctx, openEvery, func(ctx context.Context) (bool, error) { return t.sealed(ctx, ref) }); err != nil {
		return 0, 0, err
	}
	unreadable = time.Since(began)
	err = poll(ctx, openEvery, func(ctx context.Context) (bool, error) {
		err := t.as("handler").Call(ctx, "GET", path, nil, &r)
		return r.State == "completed", err
	})
	return unreadable, time.Since(began), err
}

// recorded is err, unless it says that a decision is on its way: it is seen later.
func recorded(err error) error {
	if p, is := errors.AsType[*client.Problem](err); is && p.Status == http.StatusServiceUnavailable {
		return nil
	}
	return err
}

// reference is that of somebody, of whom something can be read.
func (t *timing) reference(ctx context.Context, who string) (ref string, err error) {
	since := time.Now()
	err = poll(ctx, askEvery, func(ctx context.Context) (bool, error) {
		found, err := t.open(ctx, map[string]any{"issuer": workload.Issuer, "subject": who})
		if len(found) == 0 { // its row is there before the projector says so
			if err == nil && time.Since(since) > t.patience {
				err = fmt.Errorf("nothing of them is found: %w", errLost)
			}
			return false, err
		}
		if ref = found[0].SubjectRef; len(found[0].Personal) == 0 {
			err = errors.New("nothing of them opens before they are forgotten")
		}
		return true, err
	})
	return ref, err
}

// sealed reports whether an event of somebody does not open any more.
func (t *timing) sealed(ctx context.Context, ref string) (bool, error) {
	found, err := t.open(ctx, map[string]any{"subject_ref": ref})
	return len(found) == 1 && found[0].Sealed == "erased", err
}

// open opens one event of somebody, if there is any.
func (t *timing) open(ctx context.Context, of map[string]any) ([]client.Event, error) {
	of["tenant"], of["type"], of["limit"], of["open"], of["purpose"] = tenant, "token.verified", 1, true, "bench"
	var out client.Trail
	err := t.as("officer").Call(ctx, "POST", "/v1/audit/search", of, &out)
	return out.Events, err
}
