package workload_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
)

func TestSameSeedSameEvents(t *testing.T) {
	t.Parallel()
	cfg := workload.Config{Seed: 7, Start: time.Unix(1_700_000_000, 0)}
	if d := cmp.Diff(workload.New(cfg).Batch(200), workload.New(cfg).Batch(200)); d != "" {
		t.Fatal(d)
	}
	other := cfg
	other.Seed = 8
	if cmp.Equal(workload.New(cfg).Batch(5), workload.New(other).Batch(5)) {
		t.Fatal("another seed gave the same events")
	}
}

func TestEventsAreValid(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, ev := range workload.New(workload.Config{}).Batch(20_000) {
		if r := (events.Policy{Environment: "dev", RequireEnvironment: true}).Validate(&ev, time.Now()); r != nil {
			t.Fatalf("%s: %v", ev.Type, r)
		}
		if id, err := uuid.Parse(ev.ID); err != nil || id.Version() != 7 || id.Variant() != uuid.RFC4122 || seen[ev.ID] {
			t.Fatalf("id %s: version %d, twice %v, %v", ev.ID, id.Version(), seen[ev.ID], err)
		}
		seen[ev.ID] = true
	}
}

// holding is what a person was given last.
type holding struct {
	token, session string
	expires        events.Timestamp
}

// TestTokensLiveOn runs half a day of event time, so that tokens expire, too.
func TestTokensLiveOn(t *testing.T) {
	t.Parallel()
	held, issued := map[string]holding{}, map[string]bool{}
	for _, ev := range workload.New(workload.Config{Subjects: 500, Step: 800 * time.Millisecond}).Batch(50_000) {
		d := &ev.Data
		before, known := held[d.Subject]
		switch ev.Type {
		case events.TokenIssued, events.TokenRefreshed:
			if issued[d.TokenID] {
				t.Fatalf("jti %s was given twice", d.TokenID)
			}
			issued[d.TokenID] = true
			if kept := d.SessionID == before.session; known && kept != (ev.Type == events.TokenRefreshed) {
				t.Fatalf("%s: session kept: %v", ev.Type, kept)
			}
			held[d.Subject] = holding{d.TokenID, d.SessionID, d.Expires}
		default:
			if known && (d.TokenID != before.token || d.SessionID != before.session) {
				t.Fatalf("%s of a token that is not the current one", ev.Type)
			}
			if known && ev.Type == events.TokenVerified && events.TimestampOf(ev.Time) >= before.expires {
				t.Fatal("an expired token was verified")
			}
		}
	}
}

func TestProportions(t *testing.T) {
	t.Parallel()
	const n = 50_000
	kinds, people, size, personal := map[events.Type]float64{}, map[string]int{}, 0, 0
	for _, ev := range workload.New(workload.Config{}).Batch(n) {
		kinds[ev.Type]++
		people[ev.Data.Subject]++
		if len(ev.Data.Personal) > 0 {
			personal++
		}
		b, err := events.MarshalEvent(&ev)
		if err != nil {
			t.Fatal(err)
		}
		size += len(b)
	}
	for kind, want := range map[events.Type]float64{
		events.TokenIssued: 0.15, events.TokenRefreshed: 0.05, events.TokenVerified: 0.77, events.TokenRejected: 0.03,
	} {
		if got := kinds[kind] / n; math.Abs(got-want) > 0.01 {
			t.Errorf("%s: %.3f of all, want %.2f", kind, got, want)
		}
	}
	most := 0
	for _, times := range people {
		most = max(most, times)
	}
	mean := float64(size) / n
	t.Logf("%.0f bytes an event, %d people, the most popular has %d, %d with personal claims", mean, len(people), most, personal)
	if mean < 450 || mean > 550 {
		t.Errorf("%.0f bytes an event, want about 500", mean)
	}
	if most < n/100 || len(people) < n/10 {
		t.Errorf("%d people, %d events of the most popular: not Zipf's law", len(people), most)
	}
	if personal < n/50 {
		t.Errorf("only %d events with personal claims", personal)
	}
}

func BenchmarkNext(b *testing.B) {
	g := workload.New(workload.Config{})
	b.ReportAllocs()
	for b.Loop() {
		g.Next()
	}
}
