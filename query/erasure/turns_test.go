package erasure

import (
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/recipient"
)

// notifierOf is a notifier for the requests of a book, which sends nothing.
func notifierOf(t *testing.T, b *book, registry string) *notifier {
	t.Helper()
	g, err := recipient.Parse([]byte(registry), func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	w := &Workflow{cfg: Config{Now: time.Now, Retry: time.Hour, Notifying: &Notifying{Registry: g}}, book: b}
	return w.newNotifier()
}

// TestRoom: so many are told at once, nobody twice, and of those who failed only
// as many as leave room for who did not; who has waited longest comes first.
func TestRoom(t *testing.T) {
	t.Parallel()
	n := notifierOf(t, newBook(), "recipients: []")
	takes := func(prefix string, some int) (took int) {
		for i := range some {
			to := fmt.Sprint(prefix, i)
			if n.take(to) {
				took++
			}
			if n.take(to) {
				t.Errorf("%s is told twice at once", to)
			}
		}
		return took
	}
	for i := range toldAtOnce {
		n.failed[fmt.Sprint("bad", i)] = 1
	}
	if got := takes("bad", toldAtOnce); got != failingAtOnce {
		t.Errorf("%d who failed are told at once", got)
	}
	if got := takes("good", toldAtOnce); got != toldAtOnce-failingAtOnce {
		t.Errorf("%d who did not", got)
	}
	n.give("good1")
	n.give("bad1")
	if !n.take("good1") || !n.take("bad1") || n.take("good99") {
		t.Error("what was given back is not there, or more than that")
	}
	if got := n.inTurn(map[string][]notice{"bad1": nil, "good0": nil, "new": nil, "good1": nil}); fmt.Sprint(got) != "[new good0 good1 bad1]" {
		t.Errorf("%v", got)
	}
}

// TestNothingIsRememberedOfWhatIsOver: of a notice that was settled, by whomever,
// the notifier remembers nothing.
func TestNothingIsRememberedOfWhatIsOver(t *testing.T) {
	t.Parallel()
	b := newBook()
	r := &Request{ID: "r", Tenant: "acme", Type: Erasure, State: Executing, subject: events.Ref{1}, heeded: digestOf(nil, nil), flagged: map[string]flag{}}
	b.byID["r"], b.order = []*Request{r}, []*Request{r}
	index := uint64(0)
	log := func(kind events.Type, actor string, attributes map[string]string) {
		index++
		attributes[attrRequest] = "r"
		b.apply(lane.Entry{Index: index, Record: &events.Record{Tenant: "acme", Source: Source, ID: fmt.Sprint(index), Type: kind, Actor: actor, Reason: "impossible", Attributes: attributes}})
	}
	for _, to := range []string{"bank", "crm"} {
		log(events.RequestNotified, Worker, map[string]string{attrRecipient: to, attrDelivery: string(Pending)})
	}
	log(events.RequestCompleted, Worker, map[string]string{attrOutcome: string(OutcomePartial), attrMissing: "recipient:bank recipient:crm", attrHolds: digestOf(nil, nil)})
	n := notifierOf(t, b, "recipients: []")
	remember := func() {
		for _, to := range []string{"bank", "crm"} {
			n.wait(noticeTo(r, to), time.Now().Add(time.Hour))
			n.said[noticeTo(r, to)] = reply{Delivery: Delivered}
		}
	}
	wants := func(want ...stream.Notice) {
		t.Helper()
		n.forget()
		for _, place := range want {
			if _, there := n.later[place]; !there || n.said[place].Delivery == "" {
				t.Errorf("%s is forgotten", place.Recipient)
			}
		}
		if len(n.later) != len(want) || len(n.said) != len(want) {
			t.Errorf("%v %v, want %v", n.later, n.said, want)
		}
	}
	remember()
	wants(noticeTo(r, "bank"), noticeTo(r, "crm"))
	log(events.RequestNotified, "ann", map[string]string{attrRecipient: "bank", attrDelivery: string(GivenUp)})
	wants(noticeTo(r, "crm"))
	log(events.RequestNotified, Worker, map[string]string{attrRecipient: "crm", attrDelivery: string(Delivered)})
	wants()
}
