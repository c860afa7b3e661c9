package store

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/leak"
)

// accepted is when a token was accepted: leak.Accepted.At.
const accepted = "least(toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received))"

// leaked is the conditions that one revocation puts on token.verified:
// leak.Revoked.Judge and Covers, and the match.
func leaked(q query.LeakSearch, tokens []string, end uint64) *where {
	r, record := &q.Revoked, q.Revoked.Record
	w := new(where)
	w.tenant(record.Tenant, false)
	w.and("shard = {shard:UInt16}", "shard", r.Shard)
	w.and("type = {type:String}", "type", string(events.TokenVerified))
	w.conditions = append(w.conditions, "outcome != 'failure'")
	w.and("`index` > {position:UInt64}", "position", r.Index)
	w.and("`index` < {end:UInt64}", "end", end)
	w.matching(record, tokens)
	if cutoff := record.Revocation.IssuedBefore; cutoff != 0 {
		w.and("(toUnixTimestamp64Milli(iat) = 0 OR intDiv(toUnixTimestamp64Milli(iat), 1000) <= {cutoff:Int64})", "cutoff", int64(cutoff/1000))
	}
	if expires := r.Expires(); expires != 0 {
		w.and("toUnixTimestamp64Micro(time) < {expires:Int64}", "expires", expires)
	}
	if starts := r.Starts(); starts != 0 {
		w.and("toUnixTimestamp64Micro(time) >= {starts:Int64}", "starts", starts)
	}
	w.since(r)
	return w
}

// matching is the condition that a token is the one, or one of those, that the
// record revokes.
func (w *where) matching(record *events.Record, tokens []string) {
	switch record.Revocation.Scope {
	case events.ScopeToken:
		w.exactly("token_ref", record.TokenRef)
	case events.ScopeSession:
		w.exactly("session_ref", record.SessionRef)
	case events.ScopeGrant:
		w.exactly("grant_ref", record.GrantRef)
	case events.ScopeSubject:
		w.subject(record.SubjectRef, tokens)
	case events.ScopeClient:
		w.and("issuer = {issuer:String}", "issuer", record.Issuer)
		w.and("client = {client:String}", "client", record.Client)
	case events.ScopeKey:
		w.and("issuer = {issuer:String}", "issuer", record.Issuer)
		w.and("kid = {kid:String}", "kid", record.KeyID)
	case events.ScopeIssuer:
		w.and("issuer = {issuer:String}", "issuer", record.Issuer)
	}
}

// exactly compares a reference. None matches a zero one, which is many tokens'.
func (w *where) exactly(column string, ref events.Ref) {
	if ref.IsZero() {
		w.conditions = append(w.conditions, "0")
		return
	}
	w.ref(column, ref)
}

// subject is the condition that a token is the subject's: by their reference,
// or, once they were forgotten, by its own.
func (w *where) subject(ref events.Ref, tokens []string) {
	if ref.IsZero() || len(tokens) == 0 {
		w.exactly("subject_ref", ref)
		return
	}
	w.args = append(w.args, clickhouse.Named("subject_ref", ref.String()))
	w.and("(subject_ref = unhex({subject_ref:String})\n    OR token_ref IN arrayMap(t -> toFixedString(unhex(t), 16), {tokens:Array(String)}))", "tokens", tokens)
}

// applied is the condition that the verifier says that it had applied the
// revocation.
const applied = "view > 0 AND view >= {position:UInt64}"

// since is the condition that it had not applied the lift by then, or, where it
// had not applied the revocation, that the revocation was in effect.
func (w *where) since(r *leak.Revoked) {
	w.args = append(w.args, clickhouse.Named("from", r.From()))
	if r.Lift == nil {
		w.conditions = append(w.conditions, "("+applied+" OR "+accepted+" >= {from:Int64})")
		return
	}
	w.args = append(w.args, clickhouse.Named("lift", r.Lift.Index))
	w.and("if("+applied+", view < {lift:UInt64},\n    "+accepted+" >= {from:Int64} AND "+accepted+" < {lifted:Int64})", "lifted", r.Lift.Received)
}

// leaks is the leaks of one revocation, a page.
type leaks struct {
	query.LeakSearch
	tokens []string
	end    uint64
}

func (q leaks) SQL() (string, []any) {
	w := leaked(q.LeakSearch, q.tokens, q.end)
	if q.After != nil {
		w.and("`index` > {after:UInt64}", "after", *q.After)
	}
	return "SELECT " + eventrow.Columns + "\nFROM events\nWHERE " + w.String() + "\nORDER BY `index`\nLIMIT {limit:UInt32}",
		append(w.args, clickhouse.Named("limit", limit(q.Limit)))
}

// leakCounts is how many leaks of each kind one revocation has.
type leakCounts struct {
	query.LeakSearch
	tokens []string
	end    uint64
}

func (q leakCounts) SQL() (string, []any) {
	w := leaked(q.LeakSearch, q.tokens, q.end)
	w.args = append(w.args, clickhouse.Named("late", q.Revoked.From()+q.Bound.Microseconds()))
	return "SELECT countIf(" + applied + "), countIf(NOT (" + applied + ") AND " + accepted + " > {late:Int64}),\n" +
		"  countIf(NOT (" + applied + ") AND " + accepted + " <= {late:Int64})\nFROM events\nWHERE " + w.String(), w.args
}

// tokensOf is the tokens that the log names as a subject's: what is left to
// know them by once the subject was forgotten.
type tokensOf struct {
	tenant  string
	shard   uint16
	subject events.Ref
	end     uint64
}

// maxTokensOf is more than a person has while a revocation of them holds.
const maxTokensOf = 10_000

func (q tokensOf) SQL() (string, []any) {
	w := new(where)
	w.tenant(q.tenant, false)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.ref("subject_ref", q.subject)
	w.and("`index` < {end:UInt64}", "end", q.end)
	w.conditions = append(w.conditions, "token_ref != toFixedString('', 16)")
	return "SELECT groupArray(token)\nFROM (\n  SELECT lower(hex(token_ref)) AS token\n  FROM events\n  WHERE " + w.String() +
		"\n  GROUP BY token_ref\n  ORDER BY max(`index`) DESC\n  LIMIT {limit:UInt32}\n)", append(w.args, clickhouse.Named("limit", maxTokensOf))
}

// Leaks implements query.ReachStore.
func (s *Store) Leaks(ctx context.Context, q query.LeakSearch) (out query.LeakPage, err error) {
	if out, err = s.leaks(ctx, q); err != nil {
		return out, fmt.Errorf("leaks shard=%d index=%d: %w", q.Revoked.Shard, q.Revoked.Index, err)
	}
	return out, nil
}

func (s *Store) leaks(ctx context.Context, q query.LeakSearch) (out query.LeakPage, err error) {
	if out.Position, err = s.recorded(ctx, q.Revoked.Shard); err != nil {
		return out, err
	}
	tokens, err := s.tokensOf(ctx, &q.Revoked, out.Position)
	if err != nil {
		return out, err
	}
	if out.Rows, err = s.events(ctx, leaks{q, tokens, out.Position}, q.Revoked.Shard); err != nil {
		return out, err
	}
	err = s.ask(ctx, leakCounts{q, tokens, out.Position}, func(scan func(...any) error) error {
		return scan(&out.Ignored, &out.Late, &out.Within)
	})
	return out, err
}

func (s *Store) tokensOf(ctx context.Context, r *leak.Revoked, end uint64) (out []string, err error) {
	if r.Record.Revocation.Scope != events.ScopeSubject || r.Record.SubjectRef.IsZero() {
		return nil, nil
	}
	q := tokensOf{r.Record.Tenant, r.Shard, r.Record.SubjectRef, end}
	err = s.ask(ctx, q, func(scan func(...any) error) error { return scan(&out) })
	return out, err
}
