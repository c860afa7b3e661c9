package erasure

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
)

// TestJudgeNotice is who may say what of a recipient, and when.
func TestJudgeNotice(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	said := func(source, actor, to string, d Delivery, reason, told string) *events.Record {
		return &events.Record{
			Tenant: "acme", Source: source, ID: "n", Type: events.RequestNotified, Actor: actor, Reason: reason, Received: at.UnixMicro(),
			Attributes: map[string]string{attrRequest: "r", attrRecipient: to, attrDelivery: string(d), attrTold: told},
		}
	}
	in := func(s State) Request {
		return Request{ID: "r", Tenant: "acme", Type: Erasure, State: s, Received: at.AddDate(0, 0, -3), Due: at.AddDate(0, 1, 0),
			Recipients: []Recipient{{ID: "crm", Delivery: Pending}, {ID: "done", Delivery: Delivered}}}
	}
	access := in(Partial)
	access.Type = Access
	for name, c := range map[string]struct {
		r      Request
		record *events.Record
		ok     bool
	}{
		"prepared":                  {in(Executing), said(Source, Worker, "new", Pending, "", ""), true},
		"prepared, another revoked": {in(Approved), said(Source, Worker, "new", Pending, "", ""), true},
		"prepared twice":            {in(Executing), said(Source, Worker, "crm", Pending, "", ""), false},
		"prepared after the key":    {in(Partial), said(Source, Worker, "new", Pending, "", ""), false},
		"prepared by a person":      {in(Executing), said(Source, "eve", "new", Pending, "", ""), false},
		"answered":                  {in(Partial), said(Source, Worker, "crm", Delivered, "", ""), true},
		"refused":                   {in(Partial), said(Source, Worker, "crm", Refused, "other", ""), true},
		"answered, by a person":     {in(Partial), said(Source, "eve", "crm", Delivered, "", ""), false},
		"answered, from elsewhere":  {in(Partial), said("https://evil", Worker, "crm", Delivered, "", ""), false},
		"answered twice":            {in(Partial), said(Source, Worker, "done", Refused, "", ""), false},
		"nobody":                    {in(Partial), said(Source, Worker, "who", Delivered, "", ""), false},
		"not yet approved":          {in(Verified), said(Source, Worker, "crm", Delivered, "", ""), false},
		"no erasure":                {access, said(Source, Worker, "crm", Delivered, "", ""), false},
		"over":                      {in(Completed), said(Source, "ann", "crm", Informed, "letter", "2026-03-04"), false},
		"told":                      {in(Partial), said(Source, "ann", "crm", Informed, "letter", "2026-03-04"), true},
		"told, by a machine":        {in(Partial), said(Source, Worker, "crm", Informed, "letter", "2026-03-04"), false},
		"told, before it was asked": {in(Partial), said(Source, "ann", "crm", Informed, "letter", "2026-03-01"), false},
		"told tomorrow":             {in(Partial), said(Source, "ann", "crm", Informed, "letter", "2026-03-06"), false},
		"told, somehow":             {in(Partial), said(Source, "ann", "crm", Informed, "disproportionate", "2026-03-04"), false},
		"given up":                  {in(Partial), said(Source, "ann", "crm", GivenUp, "impossible", ""), true},
		"given up, for no reason":   {in(Partial), said(Source, "ann", "crm", GivenUp, "alice@example.com", ""), false},
		"given up and told":         {in(Partial), said(Source, "ann", "crm", GivenUp, "impossible", "2026-03-04"), false},
		"given up by a machine":     {in(Partial), said(Source, Worker, "crm", GivenUp, "impossible", ""), false},
		"given up by nobody":        {in(Partial), said(Source, " ", "crm", GivenUp, "impossible", ""), false},
		"something":                 {in(Partial), said(Source, "ann", "crm", "perhaps", "impossible", ""), false},
	} {
		if to, err := c.r.judge(c.record); (err == nil) != c.ok || c.ok && to != c.r.State {
			t.Errorf("%s: %s, %v", name, to, err)
		}
	}
}

// TestHoldsAndRecipients: a request that is kept from being complete by both is
// carried out again when the last recipient is settled, and not for ever after.
func TestHoldsAndRecipients(t *testing.T) {
	t.Parallel()
	b := newBook()
	r := &Request{ID: "r", Tenant: "acme", Type: Erasure, State: Executing, subject: events.Ref{1}, heeded: digestOf(nil, nil), flagged: map[string]flag{}}
	b.byID["r"], b.order = []*Request{r}, []*Request{r}
	index := uint64(0)
	log := func(kind events.Type, attributes map[string]string) {
		index++
		attributes[attrRequest] = "r"
		b.apply(lane.Entry{Index: index, Record: &events.Record{Tenant: "acme", Source: Source, ID: string(rune('a' + index)), Type: kind, Actor: Worker, Attributes: attributes}})
	}
	wants := func(what string, want bool) {
		t.Helper()
		if got := len(b.pending(hold.NewBook())) > 0; got != want {
			t.Errorf("%s: pending %t", what, got)
		}
	}
	log(events.RequestNotified, map[string]string{attrRecipient: "crm", attrDelivery: string(Pending)})
	log(events.RequestCompleted, map[string]string{attrOutcome: string(OutcomePartial), attrMissing: "hold-1 recipient:crm", attrHolds: digestOf(nil, nil)})
	wants("untold", false)
	log(events.RequestNotified, map[string]string{attrRecipient: "crm", attrDelivery: string(Delivered)})
	wants("told", true)
	if len(r.Missing) != 1 || r.Missing[0] != "hold-1" || len(b.telling) != 0 {
		t.Errorf("missing %v", r.Missing)
	}
	log(events.RequestCompleted, map[string]string{attrOutcome: string(OutcomePartial), attrMissing: "hold-1", attrHolds: digestOf(nil, nil)})
	wants("held", false)
}

// TestAnswers is what an answer comes to.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   reply
	}{
		"ok":                 {200, "", reply{Delivery: Delivered}},
		"accepted, with mud": {202, "{", reply{Delivery: Delivered}},
		"refused":            {403, `{"outcome":"refused","reason":"legal_claims"}`, reply{Refused, "legal_claims"}},
		"refused politely":   {200, `{"outcome":"refused"}`, reply{Refused, OtherReason}},
		"refused, in words":  {410, `{"outcome":"refused","reason":"Alice Smith is our client"}`, reply{Refused, OtherReason}},
		"a wall":             {403, "<html>", reply{}},
		"gone":               {410, "", reply{}},
		"lost":               {404, `{"outcome":"refused"}`, reply{}},
		"broken":             {500, `{"outcome":"refused"}`, reply{}},
		"elsewhere":          {307, `{"outcome":"refused"}`, reply{}},
	} {
		got, err := answerOf(callback.Answer{Status: c.status, Body: []byte(c.body)})
		if got != c.want || errors.Is(err, errTold) != (c.want.Delivery == "") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// heard is a publisher that keeps what it got.
type heard []events.Event

func (h *heard) Publish(_ context.Context, evs ...events.Event) error {
	*h = append(*h, evs...)
	return nil
}

// silent is a log of which nothing is heard.
type silent struct{ Lane }

func (silent) Wait(context.Context, events.Ref) (uint64, error) {
	return 0, errors.New("nothing is heard")
}

// TestStrangersStopNoErasure: whoever issues a token chooses its audience, also one
// that cannot be said where it is cut.
func TestStrangersStopNoErasure(t *testing.T) {
	t.Parallel()
	aud := strings.Repeat("x", 183) + "/4111111111111111" + "0000000"
	said, policy := new(heard), events.Policy{Environment: "test"}
	w := &Workflow{cfg: Config{Publisher: said, Policy: policy, Now: time.Now, Lane: silent{}}, book: newBook(), tried: map[string]events.Event{}}
	token := w.event(events.TokenIssued, "e", "acme", events.Data{Issuer: "i", TokenID: "j", Audience: []string{aud}})
	if r := policy.Validate(&token, time.Now()); r != nil {
		t.Fatalf("nobody could be issued such a token: %v", r)
	}
	if err := w.reportStrangers(t.Context(), &Request{Tenant: "acme", ID: "r"}, []string{aud, "other"}); err != nil || len(*said) != 2 {
		t.Fatalf("%d findings: %v", len(*said), err)
	}
	if a, b := (*said)[0].Data.Attributes, (*said)[1].Data.Attributes; a["audience"] != "" || a["control"] != ControlStranger || b["audience"] != "other" {
		t.Errorf("%v, %v", a, b)
	}
}

// TestStrangersOutlastTheRequest: that a request was answered does not close what it
// came upon.
func TestStrangersOutlastTheRequest(t *testing.T) {
	t.Parallel()
	r := &Request{Answered: time.Now()}
	if at, by := r.overcome(flag{control: ControlStranger}); !at.IsZero() {
		t.Errorf("closed at %s, as %s", at, by)
	}
	if at, _ := r.overcome(flag{control: ControlDueSoon}); !at.Equal(r.Answered) {
		t.Errorf("a deadline that was met: %s", at)
	}
}
