package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
)

const (
	issuerName = "https://id.example.com"
	audience   = "orders"
	keyID      = "demo-1"
	lifetime   = 15 * time.Minute
)

// issuer issues tokens and says so on NATS.
type issuer struct {
	key *ecdsa.PrivateKey
	nc  *nats.Conn
	pub *stream.Publisher
}

func newIssuer(s *dev.Stack) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	nc, err := s.NATS.Connect(natsd.Issuer)
	if err != nil {
		return nil, err
	}
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: nc, Tenant: tenant, Environment: dev.Environment, Source: issuerName})
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &issuer{key: key, nc: nc, pub: pub}, nil
}

func (i *issuer) close() { i.nc.Close() }

// issue publishes the key and the person's consent, then makes a token and
// publishes that. It returns the token and its jti.
func (i *issuer) issue(ctx context.Context) (token, jti string, err error) {
	now := time.Now().Truncate(time.Second)
	consent := &events.Consent{ID: "consent-" + uuid.NewString(), Purposes: []string{"sign-in"}}
	err = i.pub.Publish(ctx,
		events.Event{Type: events.KeyPublished, Data: events.Data{
			Issuer: issuerName, KeyID: keyID, Algorithm: "ES256", NotBefore: events.TimestampOf(now), Expires: events.TimestampOf(now.Add(90 * 24 * time.Hour)),
			Attributes: map[string]string{"storage": "file", "owner": "demo"},
		}},
		events.Event{Type: events.ConsentGranted, Data: events.Data{Issuer: issuerName, Subject: subject, Consent: consent}},
	)
	if err != nil {
		return "", "", err
	}
	jti = uuid.NewString()
	if token, err = i.sign(now, jti); err != nil {
		return "", "", err
	}
	return token, jti, i.pub.Publish(ctx, events.Event{Type: events.TokenIssued, Data: events.Data{
		Issuer: issuerName, Subject: subject, TokenID: jti, SessionID: "session-1", ClientID: "shop", Audience: events.Audience{audience},
		Scope: "orders:read", IssuedAt: events.TimestampOf(now), Expires: events.TimestampOf(now.Add(lifetime)), KeyID: keyID, Algorithm: "ES256",
		Consent: consent, IP: "198.51.100.7", Outcome: "success", Personal: map[string]any{"name": "Alice Example"},
	}})
}

func (i *issuer) sign(now time.Time, jti string) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": issuerName, "sub": subject, "aud": audience, "client_id": "shop", "scope": "orders:read", "sid": "session-1",
		"jti": jti, "iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	})
	t.Header["typ"], t.Header["kid"] = "at+jwt", keyID
	return t.SignedString(i.key)
}
