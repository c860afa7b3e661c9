package guardecho_test

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
	"github.com/rescindhq/rescind/revocation/guard/guardecho"
)

// vouch stands for a *feed.Feed.
type vouch struct{}

func (vouch) Decide(c revocation.Claims) revocation.Decision {
	if c.TokenID == "stolen" {
		return revocation.Decision{State: revocation.Revoked}
	}
	return revocation.Decision{State: revocation.Active}
}

func Example() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	g, err := guard.New(guard.Config{
		Issuer: "https://issuer.example", Audience: []string{"https://api.example"}, Tenant: "acme",
		Keys: guard.StaticKeys{{ID: "k1", Algorithm: "EdDSA", Public: key.Public()}}, Feed: vouch{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := echo.New()
	e.Use(guardecho.Middleware(g))
	e.GET("/orders", func(c echo.Context) error {
		token, _ := guard.From(c.Request().Context())
		return c.String(http.StatusOK, "orders of "+token.Claims.Subject)
	})

	for _, id := range []string{"mine", "stolen"} {
		t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": "https://issuer.example", "aud": "https://api.example",
			"sub": "alice", "client_id": "shop", "jti": id, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()})
		t.Header["typ"], t.Header["kid"] = "at+jwt", "k1"
		raw, err := t.SignedString(key)
		if err != nil {
			fmt.Println(err)
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+raw)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 orders of alice
	// 401 {"type":"urn:rescind:problem:token","title":"Unauthorized","status":401,"detail":"the token was revoked","reason":"revoked"}
}
