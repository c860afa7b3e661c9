package proposal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane"
)

// Source is the CloudEvents source of proposals and of decisions about them.
const Source = "rescind:proposals"

// The attributes of their events.
const (
	AttrProposal = "proposal"
	AttrBody     = "body"
	AttrScope    = "scope"
	AttrLifts    = "lifts" // where a lift is proposed
	AttrTokens   = "tokens"
	AttrReach    = "reach"
	AttrCutoff   = "issued_before" // this and the two below in ms, where the body names one
	AttrStarts   = "starts"
	AttrNotAfter = "not_after"
)

// State says where a proposal stands.
type State string

// The states.
const (
	Proposed State = "proposed"
	Approved State = "approved"
	Denied   State = "denied"  // final
	Used     State = "used"    // final: the revocation was made
	Expired  State = "expired" // final
)

var (
	// ErrNotFound says that there is no such proposal within reach.
	ErrNotFound = errors.New("no such proposal")

	// ErrFourEyes says that an approval needs somebody else.
	ErrFourEyes = errors.New("who proposed a revocation cannot approve it")

	// ErrBody says that an approval is for something else.
	ErrBody = errors.New("the approval is for another body")
)

// StateError says that a proposal's state does not allow what was asked.
type StateError struct {
	State State
	To    State
}

func (e *StateError) Error() string {
	return fmt.Sprintf("a proposal that is %s cannot become %s", e.State, e.To)
}

// Proposal is one proposal as it stands on the log.
type Proposal struct {
	ID, Tenant string
	Body       string // keyed digest
	Terms
	Record *events.Record // that proposed it; not changed by anybody
	Sealed []byte         // its sealed part, which holds the note; nil where there is none
	Tokens *uint64        // what it would have hit; nil where that was not known
	Reach  *uint64

	ProposedBy     string
	Proposed       time.Time
	DecidedBy      string // who approved or denied it last
	Decided        time.Time
	DecisionReason string
	Made           time.Time // time of the revocation's event; zero while it was not used
	Position       uint64    // index of its last event in the log of its shard

	state   State // but for Expired, which time makes of it
	expires time.Time
}

// State is where p stands at a time.
func (p *Proposal) State(now time.Time) State {
	if (p.state == Proposed || p.state == Approved) && !now.Before(p.expires) {
		return Expired
	}
	return p.state
}

// Expires is when p can be approved, or used, no more; zero where it is decided.
func (p *Proposal) Expires() time.Time {
	if p.state == Proposed || p.state == Approved {
		return p.expires
	}
	return time.Time{}
}

// May says why actor cannot bring p into a state now; nil where they can.
func (p *Proposal) May(to State, actor string, now time.Time) error {
	switch state := p.State(now); {
	case !slices.Contains(from[to], state):
		return &StateError{State: state, To: to}
	case to == Approved && same(actor, p.ProposedBy):
		return ErrFourEyes
	default:
		return nil
	}
}

// Permits says why p does not permit a revocation with that digest now; nil
// where it does.
func (p *Proposal) Permits(body string, now time.Time) error {
	if err := p.May(Used, "", now); err != nil {
		return err
	}
	if p.Body != body {
		return ErrBody
	}
	return nil
}

// from is the states from which one is reached.
var from = map[State][]State{
	Approved: {Proposed},
	Denied:   {Proposed, Approved},
	Used:     {Approved},
}

// same reports whether two names are one principal's: an issuer of access
// tokens may write a name in more than one way. Nobody is everybody.
func same(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	return a == "" || b == "" || strings.EqualFold(a, b)
}

// Config is what a Book needs.
type Config struct {
	// TTL is how long a proposal waits to be approved, and an approval to be
	// used. Default 1 h.
	TTL time.Duration
	// Keep is how many of the last proposals are kept: where there are more, the
	// tenant with the most gives up its oldest. Default 10,000, each of at most
	// some 6 kB, most of it the note.
	Keep int
	// Revoker is the source of the revocations that use proposals.
	Revoker string
}

// Book knows the last proposals.
type Book struct {
	cfg Config

	mu    sync.RWMutex // for the rest
	byID  map[string]*Proposal
	order []*Proposal    // as they came
	of    map[string]int // how many, by tenant
}

// NewBook is a book that has seen nothing.
func NewBook(cfg Config) *Book {
	if cfg.TTL == 0 {
		cfg.TTL = time.Hour
	}
	if cfg.Keep == 0 {
		cfg.Keep = 10_000
	}
	return &Book{cfg: cfg, byID: make(map[string]*Proposal), of: make(map[string]int)}
}

// Apply folds one control record.
func (b *Book) Apply(e lane.Entry) {
	id := e.Record.Attributes[AttrProposal]
	if id == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch to := b.step(e.Record); to {
	case "":
	case Proposed:
		b.propose(id, e)
	default:
		if p := b.byID[id]; p != nil && p.Tenant == e.Record.Tenant {
			b.move(p, to, e)
		}
	}
}

// step is the state that a record brings its proposal into, "" for none.
func (b *Book) step(r *events.Record) State {
	switch {
	case r.Source == b.cfg.Revoker && (r.Type.RevokedScope() != "" || r.Type == events.RevocationLifted):
		return Used
	case r.Source != Source:
		return ""
	}
	switch r.Type {
	case events.RevocationProposed:
		return Proposed
	case events.RevocationApproved:
		return Approved
	case events.RevocationDenied:
		return Denied
	default:
		return ""
	}
}

func (b *Book) propose(id string, e lane.Entry) {
	r := e.Record
	if b.byID[id] != nil {
		return
	}
	at := time.UnixMicro(r.Received).UTC()
	p := &Proposal{
		ID: id, Tenant: r.Tenant, Body: r.Attributes[AttrBody], Terms: termsOf(r), Record: r, Sealed: bytes.Clone(e.Sealed), // not the batch that it came in
		ProposedBy: r.Actor, Proposed: at, Position: e.Index,
		Tokens: number(r.Attributes[AttrTokens]), Reach: number(r.Attributes[AttrReach]), state: Proposed, expires: at.Add(b.cfg.TTL),
	}
	b.keep(p)
}

func number(s string) *uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

func (b *Book) keep(p *Proposal) {
	b.byID[p.ID], b.order = p, append(b.order, p)
	b.of[p.Tenant]++
	if len(b.order) > b.cfg.Keep {
		b.forget()
	}
}

// forget makes room where most is taken: who proposes much must not have the
// proposals of others forgotten.
func (b *Book) forget() {
	most := 0
	for _, n := range b.of {
		most = max(most, n)
	}
	i := slices.IndexFunc(b.order, func(p *Proposal) bool { return b.of[p.Tenant] == most })
	p := b.order[i]
	b.order = slices.Delete(b.order, i, i+1)
	delete(b.byID, p.ID)
	if b.of[p.Tenant]--; b.of[p.Tenant] == 0 {
		delete(b.of, p.Tenant)
	}
}

// move brings p into a state, if it may be.
func (b *Book) move(p *Proposal, to State, e lane.Entry) {
	r := e.Record
	at := time.UnixMicro(r.Received).UTC()
	if p.May(to, r.Actor, at) != nil || to == Approved && r.Attributes[AttrBody] != p.Body {
		return
	}
	if to == Used && (p.Lifts != "") != (r.Type == events.RevocationLifted) {
		return
	}
	p.state, p.Position = to, e.Index
	if to == Used {
		p.Made = time.UnixMicro(r.Time).UTC()
		return
	}
	p.DecidedBy, p.Decided, p.DecisionReason, p.expires = r.Actor, at, r.Reason, at.Add(b.cfg.TTL)
}

// Get is one proposal of the tenants that reaches lets through.
func (b *Book) Get(id string, reaches func(tenant string) bool) (Proposal, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p := b.byID[id]
	if p == nil || !reaches(p.Tenant) {
		return Proposal{}, ErrNotFound
	}
	return *p, nil
}

// List is up to limit of the latest proposals, the newest first.
func (b *Book) List(reaches func(tenant string) bool, limit int) (out []Proposal) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, p := range slices.Backward(b.order) {
		if reaches(p.Tenant) && len(out) < limit {
			out = append(out, *p)
		}
	}
	return out
}
