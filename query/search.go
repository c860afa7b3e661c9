package query

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
)

// The states of a subject that a search names.
const (
	subjectKnown   = "known"
	subjectUnknown = "unknown"
	subjectErased  = "erased"
)

// SearchAudit answers a search, and opens personal parts where that is asked
// for, allowed, and recorded.
func (s *Server) SearchAudit(c echo.Context) error {
	var in AuditSearch
	if err := readJSON(c, &in); err != nil {
		return err
	}
	p := caller(c)
	tenant, err := p.tenant(in.Tenant)
	if err != nil {
		return err
	}
	in.Tenant = tenant
	if err := in.validate(p); err != nil {
		return err
	}
	ctx := c.Request().Context()
	if in.Issuer == "" && in.Subject+in.Jti+in.Sid != "" {
		if in.Issuer, err = s.issuerOf(ctx, in); err != nil {
			return err
		}
	}
	search, state, err := s.resolve(ctx, &in)
	if err != nil {
		return err
	}
	out := AuditEvents{Events: []AuditEvent{}, SubjectState: state}
	if search == nil { // nothing can match
		search = &Search{Tenant: tenant, Shard: s.shard(tenant)}
		in.Count, out.Total = false, zeroIf(in.Count)
		return s.answerSearch(c, p, &in, search, nil, out)
	}
	rows, next, err := s.page(ctx, &in, *search)
	if err != nil {
		return err
	}
	out.Next = next
	return s.answerSearch(c, p, &in, search, rows, out)
}

func zeroIf(asked bool) *uint64 {
	if asked {
		return new(uint64)
	}
	return nil
}

// answerSearch adds what was asked for beside the rows.
func (s *Server) answerSearch(c echo.Context, p *Principal, in *AuditSearch, search *Search, rows []Row, out AuditEvents) error {
	ctx := c.Request().Context()
	for _, r := range rows {
		out.Events = append(out.Events, auditEvent(r))
	}
	if in.Count {
		n, err := s.cfg.Events.Count(ctx, *search)
		if err != nil {
			return err
		}
		out.Total = &n
	}
	if in.Open {
		if err := s.recordAccess(ctx, p, in, rows, out); err != nil {
			return err
		}
		if err := s.openPermitted(ctx, in, rows, out.Events); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

const minPurpose = 3

func (in *AuditSearch) validate(p *Principal) error {
	if in.Open && !p.Has(ScopeAuditOpen) {
		return &scopeError{[]string{ScopeAuditOpen}}
	}
	var k check
	k.that(!in.Open || len(in.Purpose) >= minPurpose, "purpose", "say why the personal part is read: %d to %d bytes", minPurpose, events.MaxTextBytes)
	k.text("purpose", in.Purpose, events.MaxTextBytes)
	if in.Exception != "" {
		oneOf(&k, "exception", in.Exception, erasure.Exceptions())
	}
	if in.Outcome != "" {
		oneOf(&k, "outcome", in.Outcome, []string{"success", "failure"})
	}
	if in.Order != "" {
		oneOf(&k, "order", in.Order, []string{"asc", "desc"})
	}
	k.that(in.From.IsZero() || in.To.IsZero() || in.From.Before(in.To), "to", "it is not after from: nothing can match")
	for _, name := range in.Type {
		k.that(typeNamed(name).Known(), "type", "%.80q is not one of ours", name)
	}
	return k.err
}

// typeNamed is the type with that name, whole or short.
func typeNamed(name string) events.Type {
	if t := events.Type(name); t.Known() {
		return t
	}
	return events.TypeNamed(name)
}

// resolve turns identifiers into references. The search is nil where nothing
// can match, because the identifiers mean nothing to us.
func (s *Server) resolve(ctx context.Context, in *AuditSearch) (*Search, string, error) {
	search, err := in.search()
	if err != nil {
		return nil, "", err
	}
	search.Shard = s.shard(in.Tenant)
	possible, err := s.resolveTokens(ctx, in, search)
	if err != nil {
		return nil, "", err
	}
	state, err := s.resolveSubject(ctx, in, search)
	if err != nil {
		return nil, "", err
	}
	if !possible || state == subjectUnknown || state == subjectErased {
		return nil, state, nil
	}
	return search, state, nil
}

// search is what can be said without keys.
func (in *AuditSearch) search() (*Search, error) {
	out := &Search{
		Tenant: in.Tenant, Issuer: in.Issuer, Client: in.ClientID, KeyID: in.Kid, Outcome: in.Outcome,
		From: in.From, To: in.To, Descending: in.Order == "desc",
	}
	for _, name := range in.Type {
		out.Types = append(out.Types, typeNamed(name))
	}
	for _, ref := range []struct {
		name, value string
		to          *events.Ref
	}{
		{"subject_ref", in.SubjectRef, &out.SubjectRef}, {"token_ref", in.TokenRef, &out.TokenRef}, {"session_ref", in.SessionRef, &out.SessionRef},
	} {
		var err error
		if *ref.to, err = events.ParseRef(ref.value); err != nil {
			return nil, invalid(ref.name, "want 32 hex digits, as in an event")
		}
	}
	return out, nil
}

// resolveTokens reports false where the tenant was never seen, or where a
// reference is given twice and differs.
func (s *Server) resolveTokens(ctx context.Context, in *AuditSearch, search *Search) (bool, error) {
	if in.Jti == "" && in.Sid == "" {
		return true, nil
	}
	t, err := s.cfg.Keyring.LookupTenant(ctx, in.Tenant)
	if errors.Is(err, seal.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return narrow(&search.TokenRef, t.TokenRef(in.Issuer, in.Jti)) && narrow(&search.SessionRef, t.SessionRef(in.Issuer, in.Sid)), nil
}

func (s *Server) resolveSubject(ctx context.Context, in *AuditSearch, search *Search) (string, error) {
	if in.Subject == "" {
		return "", nil
	}
	key, err := s.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject})
	switch {
	case errors.Is(err, seal.ErrNotFound):
		return subjectUnknown, nil
	case err != nil:
		return "", err
	case key.Erased:
		return subjectErased, nil
	case !narrow(&search.SubjectRef, key.Ref):
		return subjectUnknown, nil
	default:
		return subjectKnown, nil
	}
}

// narrow sets a reference; false where it is set to another one already.
func narrow(to *events.Ref, ref events.Ref) bool {
	if ref.IsZero() {
		return true
	}
	if !to.IsZero() && *to != ref {
		return false
	}
	*to = ref
	return true
}

// page is the rows of one page, and the cursor of the next.
func (s *Server) page(ctx context.Context, in *AuditSearch, search Search) (rows []Row, next string, err error) {
	limit, err := limitOf(in.Limit)
	if err != nil {
		return nil, "", err
	}
	query := search // identifiers are references by now: a cursor tells nothing
	if search.After, err = parseCursor(query, in.Cursor); err != nil {
		return nil, "", err
	}
	search.Limit = limit
	if rows, err = s.cfg.Events.Search(ctx, search); err != nil {
		return nil, "", err
	}
	if len(rows) == limit {
		next, err = newCursor(query, rows[limit-1].Index)
	}
	return rows, next, err
}

// recordAccess publishes audit.accessed and returns once it is durable: only
// then may anything be opened.
func (s *Server) recordAccess(ctx context.Context, p *Principal, in *AuditSearch, rows []Row, out AuditEvents) error {
	d := events.Data{Actor: p.Subject, Attributes: map[string]string{
		"purpose": in.Purpose, "route": "audit/search", "events": strconv.Itoa(len(out.Events)),
	}}
	if n := len(out.Events); n > 0 {
		d.Attributes["first"] = strconv.FormatUint(out.Events[0].Index, 10)
		d.Attributes["last"] = strconv.FormatUint(out.Events[n-1].Index, 10)
	}
	if in.Exception != "" {
		d.Attributes["exception"] = in.Exception
	}
	if out.SubjectState == subjectKnown { // never make a person known by looking for them
		d.Issuer, d.Subject = in.Issuer, in.Subject
	} else {
		export.People(d.Attributes, people(rows)) // who ask what was opened of theirs are told
	}
	return s.recordFirst(ctx, in.Tenant, d)
}

// recordFirst publishes audit.accessed and returns once it is durable. What it
// is about must not be done before.
func (s *Server) recordFirst(ctx context.Context, tenant string, d events.Data) error {
	ev, err := s.event(events.AuditAccessed, tenant, d)
	if err != nil {
		return err
	}
	err = s.publish(ctx, ev)
	var refusal *events.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return invalid("purpose", "%s", refusal.Detail)
	default:
		return &unrecorded{err}
	}
}

// unrecorded is errAudit with its cause, which is for the log only.
type unrecorded struct{ cause error }

func (e *unrecorded) Error() string { return errAudit.Error() + ": " + e.cause.Error() }
func (e *unrecorded) Unwrap() error { return errAudit }

// Why a personal part that was asked for is not there.
const (
	sealedErased     = "erased"
	sealedRestricted = "restricted"
	sealedDropped    = "dropped"
	sealedUnreadable = "unreadable"
)

const opensAtATime = 16

// openPermitted is open, but for the people who had their data restricted:
// those only under an exception, which recordAccess has recorded.
func (s *Server) openPermitted(ctx context.Context, in *AuditSearch, rows []Row, out []AuditEvent) error {
	if in.Exception != "" || len(rows) == 0 {
		return s.open(ctx, rows, out)
	}
	restricted, err := s.cfg.Requests.Restrictions(ctx, in.Tenant, people(rows))
	if err != nil {
		return err
	}
	open := make([]Row, len(rows))
	for i, r := range rows {
		if _, is := restricted[r.Record.SubjectRef]; is && !r.Record.PayloadHash.IsZero() {
			out[i].Sealed = sealedRestricted
			r.Record.PayloadHash = events.Hash{}
		}
		open[i] = r
	}
	return s.open(ctx, open, out)
}

// people are the subjects of rows, as they come.
func people(rows []Row) (out []events.Ref) {
	for _, r := range rows {
		out = append(out, r.Record.SubjectRef)
	}
	return out
}

// open adds the personal parts of rows to out, which has them in the same
// order.
func (s *Server) open(ctx context.Context, rows []Row, out []AuditEvent) error {
	var indices []uint64
	var people []events.Ref
	for _, r := range rows {
		if !r.Record.PayloadHash.IsZero() {
			indices, people = append(indices, r.Index), append(people, r.Record.SubjectRef)
		}
	}
	if len(indices) == 0 {
		return nil
	}
	sealed, err := s.cfg.Events.Sealed(ctx, rows[0].Record.Tenant, rows[0].Shard, indices, people)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(opensAtATime)
	for i, r := range rows {
		if r.Record.PayloadHash.IsZero() {
			continue
		}
		g.Go(func() (err error) {
			out[i].Personal, out[i].Sealed, err = s.openOne(ctx, &r.Record, sealed[r.Index])
			if out[i].Sealed == sealedErased && err == nil {
				err = s.openHeld(ctx, &r, &out[i])
			}
			return err
		})
	}
	return g.Wait()
}

func (s *Server) openOne(ctx context.Context, r *events.Record, sealed []byte) (*events.Personal, string, error) {
	if len(sealed) == 0 {
		return nil, sealedDropped, nil
	}
	if sha256.Sum256(sealed) != r.PayloadHash {
		return nil, sealedUnreadable, nil
	}
	plain, err := s.cfg.Keyring.Open(ctx, seal.OpenRequest{
		Tenant: r.Tenant, Source: r.Source, ID: r.ID, Ref: r.SubjectRef, Generation: r.DataKey, Sealed: sealed, Hash: r.PayloadHash,
	})
	switch {
	case errors.Is(err, seal.ErrDestroyed):
		return nil, sealedErased, nil
	case errors.Is(err, seal.ErrSealed):
		return nil, sealedUnreadable, nil
	case err != nil:
		return nil, "", err
	}
	p, err := events.UnmarshalPersonal(plain)
	if err != nil {
		return nil, sealedUnreadable, nil
	}
	return &p, "", nil
}

// openHeld opens what a hold keeps of somebody who was forgotten, if one does.
func (s *Server) openHeld(ctx context.Context, r *Row, out *AuditEvent) error {
	plain, by, err := s.cfg.Requests.OpenHeld(ctx, r.Shard, r.Index, &r.Record)
	switch {
	case errors.Is(err, seal.ErrDestroyed):
		return nil
	case err != nil:
		return err
	}
	p, err := events.UnmarshalPersonal(plain)
	if err != nil {
		return err
	}
	out.Personal, out.Sealed, out.HeldBy = &p, "", by
	return nil
}

// GetAuditEvent shows one event without its personal part.
func (s *Server) GetAuditEvent(c echo.Context, index uint64, params GetAuditEventParams) error {
	p := caller(c)
	ctx := c.Request().Context()
	of, err := tenants(p, "")
	if err != nil {
		return err
	}
	for _, t := range of {
		row, err := s.cfg.Events.Event(ctx, t, params.Shard, index)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, auditEvent(row))
	}
	return ErrNotFound
}

func auditEvent(row Row) AuditEvent {
	r := &row.Record
	out := AuditEvent{
		Shard: row.Shard, Index: row.Index, ID: r.ID, Source: r.Source, Type: string(r.Type), Tenant: r.Tenant, Environment: r.Environment,
		Time: time.UnixMicro(r.Time).UTC(), Received: time.UnixMicro(r.Received).UTC(),
		Iss: r.Issuer, SubjectRef: r.SubjectRef.String(), TokenRef: r.TokenRef.String(), SessionRef: r.SessionRef.String(),
		GrantRef: r.GrantRef.String(), ClientID: r.Client, Kid: r.KeyID, Alg: r.Algorithm, Aud: r.Audience, Scope: r.Scope,
		Iat: r.IssuedAt, Exp: r.Expires, Nbf: r.NotBefore, Actor: r.Actor, Outcome: r.Outcome, Reason: r.Reason,
		Ticket: r.Ticket, Attributes: r.Attributes, View: r.View, Claims: r.Claims, Consent: r.Consent, Purposes: r.Purposes,
	}
	if !r.PayloadHash.IsZero() {
		out.PayloadHash = r.PayloadHash.String()
	}
	if d := row.Duplicate; d != nil {
		out.DuplicateOf, out.DuplicateContent = &d.Of, d.Content
	}
	if v := r.Revocation; v != nil {
		out.Revocation = &RevocationEntry{Scope: v.Scope, IssuedBefore: v.IssuedBefore, Starts: v.Starts, NotAfter: v.NotAfter, Expires: expiry(v.Expires), Lifts: v.Lifts.String(), LiftsPosition: v.LiftsIndex}
	}
	return out
}
