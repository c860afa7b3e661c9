package guard

import (
	"context"
	"strings"
)

// Call is a request as a Guard sees it, whatever protocol it came by.
type Call struct {
	// Authorization is all values of the header or metadata of that name.
	Authorization []string
	// Address and UserAgent are the caller's. They are told of where
	// ReportClient is set.
	Address, UserAgent string
}

// Admit checks the token of a call and reports what became of it. The error is
// a *Refusal. It is what the middleware is made of, and for protocols that have
// none here.
func (g *Guard) Admit(ctx context.Context, call Call) (*Token, error) {
	at := g.cfg.Now() // not later: it is judged by when the revocation started
	t, r := g.admit(ctx, call)
	g.report(at, call, t, r)
	if r != nil {
		return nil, r
	}
	t.call = call
	return t, nil
}

func (g *Guard) admit(ctx context.Context, call Call) (*Token, *Refusal) {
	raw, ok := bearer(call.Authorization)
	if !ok {
		return nil, refuse(ReasonMissing)
	}
	return g.check(ctx, raw)
}

// bearer is the token of exactly one Authorization header.
func bearer(headers []string) (string, bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, raw, _ := strings.Cut(headers[0], " ")
	raw = strings.Trim(raw, " ")
	return raw, strings.EqualFold(scheme, "bearer") && raw != ""
}

type contextKey struct{}

// NewContext is ctx with t in it, where From finds it.
func NewContext(ctx context.Context, t *Token) context.Context {
	return context.WithValue(ctx, contextKey{}, t)
}

// From is the token that the middleware let pass.
func From(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(contextKey{}).(*Token)
	return t, ok
}
