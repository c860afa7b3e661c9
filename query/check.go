package query

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/internal/strictjson"
	"github.com/rescindhq/rescind/revocation"
)

// Check decides about a token or its claims. It looks at claims alone: it does
// not say that a token is genuine.
func (s *Server) Check(c echo.Context) error {
	var in CheckRequest
	if err := readJSON(c, &in); err != nil {
		return err
	}
	tenant, err := caller(c).tenant(in.Tenant)
	if err != nil {
		return err
	}
	if (in.Token == "") == (in.Claims == nil) {
		return invalid("token", "want one of token and claims")
	}
	if in.Claims == nil {
		if in.Claims, err = claimsOf(in.Token); err != nil {
			return err
		}
	}
	if in.Claims.Iss == "" {
		return invalid("iss", "the claims name no issuer")
	}
	if in.AsOfPosition != nil || !in.AsOf.IsZero() {
		return s.checkAsOf(c, tenant, &in)
	}
	return c.JSON(http.StatusOK, decisionView(s.cfg.Decider.Decide(in.Claims.claims(tenant))))
}

// claims are k as a verifier reads them: azp where client_id is missing.
func (k *CheckClaims) claims(tenant string) revocation.Claims {
	return revocation.Claims{
		Tenant: tenant, Issuer: k.Iss, TokenID: k.Jti, SessionID: k.Sid, Subject: k.Sub, ClientID: cmp.Or(k.ClientID, k.Azp),
		KeyID: k.Kid, GrantID: k.GrantID, IssuedAt: k.Iat,
	}
}

func decisionView(d revocation.Decision) Decision {
	return Decision{
		Decision: string(d.State), Scope: d.Scope, Reason: d.Reason, At: d.At.UTC(), Cause: string(d.Cause),
		AgeMs: d.Age.Milliseconds(), Position: d.Position,
	}
}

// claimsOf reads the claims of a JWT without verifying it.
func claimsOf(token string) (*CheckClaims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, invalid("token", "not a signed JWT in compact form")
	}
	var k CheckClaims
	var header struct {
		KeyID string `json:"kid"`
	}
	if !decodePart(parts[0], &header) || !decodePart(parts[1], &k) {
		return nil, invalid("token", "its header or claims are not base64url of JSON with claims of the registered kinds")
	}
	k.Kid = header.KeyID
	return &k, nil
}

// decodePart reads members by their exact names, and none that is there twice, as
// verifiers do: package json would take "SUB" for sub.
func decodePart(part string, v any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || strictjson.Check(b, strictjson.Others) != nil {
		return false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil {
		return false
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return !strictjson.Plain(name) })
	b, err = json.Marshal(members)
	return err == nil && json.Unmarshal(b, v) == nil
}
