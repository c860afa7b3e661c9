package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
)

const (
	tenant  = "demo"
	subject = "alice@example.com"
)

// Story is what was observed.
type Story struct {
	OK       bool            `json:"ok"`
	Steps    []Step          `json:"steps"`
	Refusals []Refusal       `json:"refusals"`     // how fast each verifier refused the revoked token
	Before   []client.Event  `json:"trail_before"` // the subject's trail, opened
	After    []client.Event  `json:"trail_after"`  // the same trail, once the subject is forgotten
	Request  *client.Request `json:"request,omitempty"`
}

// Step is one thing that was observed.
type Step struct {
	Name   string  `json:"name"`
	Detail string  `json:"detail"`
	MS     float64 `json:"ms"`
}

// Refusal is when a verifier began to refuse. A negative FromAck means that it
// refused before the revocation was acknowledged to whoever asked for it.
type Refusal struct {
	Verifier    int     `json:"verifier"`
	FromAck     float64 `json:"from_ack_ms"`
	FromRequest float64 `json:"from_request_ms"`
}

// player plays one story.
type player struct {
	stack     *dev.Stack
	story     *Story
	tell      func(Step)
	issuer    *issuer
	verifiers []*verifier
	api       map[string]*client.Client // by role
	token     string                    // the JWT
	jti       string
	ref       string // reference of the subject, as the trail shows it
}

// Play plays the story on s and tells each step as it is observed.
func Play(ctx context.Context, s *dev.Stack, tell func(Step)) (*Story, error) {
	p := &player{stack: s, story: &Story{}, tell: tell, api: map[string]*client.Client{}}
	for role, token := range s.File.Tokens {
		p.api[role] = client.New(s.File.HTTP, token)
	}
	defer p.close()
	for _, step := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"issue", p.issue},
		{"verify", p.verify},
		{"revoke", p.revoke},
		{"read the trail", p.readTrail},
		{"forget", p.forget},
		{"read the trail again", p.readTrailAgain},
		{"refuse still", p.refuseStill},
	} {
		began := time.Now()
		detail, err := step.do(ctx)
		if err != nil {
			return p.story, fmt.Errorf("%s: %w", step.name, err)
		}
		done := Step{Name: step.name, Detail: detail, MS: milliseconds(time.Since(began))}
		p.story.Steps = append(p.story.Steps, done)
		tell(done)
	}
	p.story.OK = true
	return p.story, nil
}

func (p *player) close() {
	for _, v := range p.verifiers {
		v.close()
	}
	if p.issuer != nil {
		p.issuer.close()
	}
}

func (p *player) issue(ctx context.Context) (detail string, err error) {
	if p.issuer, err = newIssuer(p.stack); err != nil {
		return "", err
	}
	if p.token, p.jti, err = p.issuer.issue(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("ES256 token %s… for a person with consent; published and durable", p.jti[:8]), nil
}

func (p *player) verify(ctx context.Context) (string, error) {
	for n := range 3 {
		v, err := newVerifier(ctx, p.stack, p.issuer, n+1)
		if err != nil {
			return "", fmt.Errorf("verifier %d: %w", n+1, err)
		}
		p.verifiers = append(p.verifiers, v)
		if status, err := v.call(ctx, p.token); err != nil || status != 200 {
			return "", fmt.Errorf("verifier %d answered %d to a good token: %w", n+1, status, errOr(err))
		}
	}
	return "3 verifiers accepted it, each on its own connection and feed", nil
}

// patience is how long each part of the story may take. A machine that has other
// work takes many times as long as a free one.
const patience = time.Minute

var errUnexpected = errors.New("not what was expected")

func errOr(err error) error {
	if err != nil {
		return err
	}
	return errUnexpected
}

// revoke revokes the token while every verifier is watched.
func (p *player) revoke(ctx context.Context) (string, error) {
	watching, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	refused := make([]chan time.Time, len(p.verifiers))
	for i, v := range p.verifiers {
		refused[i] = v.watch(watching, p.token)
	}
	asked := time.Now()
	in := map[string]string{"tenant": tenant, "scope": "token", "iss": issuerName, "jti": p.jti, "reason": "key_compromise", "ticket": "INC-1"}
	if err := p.api["admin"].Call(ctx, "POST", "/v1/revocations", in, &client.Revoked{}); err != nil {
		return "", err
	}
	acked := time.Now()
	for i, c := range refused {
		at, ok := <-c
		if !ok {
			return "", fmt.Errorf("verifier %d did not refuse the revoked token within %s", i+1, patience)
		}
		p.story.Refusals = append(p.story.Refusals, Refusal{i + 1, milliseconds(at.Sub(acked)), milliseconds(at.Sub(asked))})
	}
	for i, v := range p.verifiers {
		if status, err := v.call(ctx, p.token); err != nil || status != 401 {
			return "", fmt.Errorf("verifier %d answered %d to the revoked token: %w", i+1, status, errOr(err))
		}
	}
	return "all 3 verifiers refuse it", nil
}

func (p *player) refuseStill(ctx context.Context) (string, error) {
	for i, v := range p.verifiers {
		if status, err := v.call(ctx, p.token); err != nil || status != 401 {
			return "", fmt.Errorf("verifier %d answered %d after the erasure: %w", i+1, status, errOr(err))
		}
	}
	var out client.Checked
	if err := p.api["verifier"].Call(ctx, "POST", "/v1/check", map[string]string{"tenant": tenant, "token": p.token}, &out); err != nil {
		return "", err
	}
	if out.Decision != "revoked" {
		return "", fmt.Errorf("the API says %s: %w", out.Decision, errUnexpected)
	}
	return "the old token is refused by all 3 verifiers and by the API", nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
