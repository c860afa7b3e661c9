package guard_test

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/revocation/guard"
)

// BenchmarkCheck is the whole of Check, and BenchmarkVerify what of it is the
// signature alone: the rest is ours.
func BenchmarkCheck(b *testing.B) {
	for _, m := range methods {
		b.Run(m.method.Alg(), func(b *testing.B) {
			g, err := guard.New(guard.Config{Issuer: issuer, Audience: []string{audience}, Keys: keys(), Feed: active(), Tenant: "acme", Now: exampleNow})
			if err != nil {
				b.Fatal(err)
			}
			raw := sign(b, m.method, m.key, m.id, claims())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Check(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var methods = []struct {
	method jwt.SigningMethod
	key    any
	id     string
}{{jwt.SigningMethodES256, ecKey, "ec"}, {jwt.SigningMethodRS256, rsaKey, "rsa"}}

func BenchmarkVerify(b *testing.B) {
	for i, m := range methods {
		b.Run(m.method.Alg(), func(b *testing.B) {
			raw := sign(b, m.method, m.key, m.id, claims())
			tok, parts, err := jwt.NewParser().ParseUnverified(raw, jwt.MapClaims{})
			if err != nil {
				b.Fatal(err)
			}
			sig, err := jwt.NewParser().DecodeSegment(parts[2])
			if err != nil {
				b.Fatal(err)
			}
			text := parts[0] + "." + parts[1]
			public := keys()[i].Public
			b.ReportAllocs()
			for b.Loop() {
				if err := tok.Method.Verify(text, sig, public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
