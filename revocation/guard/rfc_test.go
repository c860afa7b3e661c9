package guard_test

import (
	"bytes"
	"compress/flate"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/revocation/guard"
)

const plainJOSE = `{"alg":"ES256","typ":"at+jwt","kid":"ec"}`

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed is a token with a header and a payload as they are written.
func signed(t testing.TB, header, payload string) string {
	t.Helper()
	text := b64(header) + "." + b64(payload)
	sig, err := jwt.SigningMethodES256.Sign(text, ecKey)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// written is the usual claims as JSON, with more text before the last brace.
func written(more string) string {
	return strings.TrimSuffix(string(must(json.Marshal(claims()))), "}") + more + "}"
}

// rule is one sentence of an RFC, a token that breaks or keeps it, and what
// becomes of it.
type rule struct {
	rule string
	raw  string
	want guard.Reason
}

func checkRules(t *testing.T, rules []rule, change ...func(*guard.Config)) {
	t.Helper()
	for _, r := range rules {
		if got := reasonOf(t, newGuard(t, change...), r.raw); got != r.want {
			t.Errorf("%s: got %q, want %q", r.rule, got, r.want)
		}
	}
}

// TestRFC8725 goes through section 3 of JSON Web Token Best Current Practices.
func TestRFC8725(t *testing.T) {
	t.Parallel()
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	part := strings.Split(good(t, claims()), ".")
	public := string(must(ecKey.PublicKey.Bytes()))
	embedded := map[string]any{"kty": "EC", "crv": "P-256", "x": b64(string(must(stranger.PublicKey.Bytes())[1:33])), "y": b64(string(must(stranger.PublicKey.Bytes())[33:]))}
	var deflated bytes.Buffer
	w := must(flate.NewWriter(&deflated, 9))
	must(w.Write([]byte(written(""))))
	w.Close()
	checkRules(t, []rule{
		{"3.1 algorithm verification: none", b64(`{"alg":"none","typ":"at+jwt","kid":"ec"}`) + "." + part[1] + ".", guard.ReasonAlgorithm},
		{"3.1 none in another case", b64(`{"alg":"nOnE","typ":"at+jwt","kid":"ec"}`) + "." + part[1] + ".", guard.ReasonAlgorithm},
		{"3.1 one algorithm for one key: HMAC with the public key", sign(t, jwt.SigningMethodHS256, []byte(public), "ec", claims()), guard.ReasonAlgorithm},
		{"3.1 one algorithm for one key: PS256 for an RS256 key", sign(t, jwt.SigningMethodPS256, rsaKey, "rsa", claims()), guard.ReasonAlgorithm},
		{"3.1 one algorithm for one key: ES256 for an RS256 key", sign(t, jwt.SigningMethodES256, ecKey, "rsa", claims()), guard.ReasonAlgorithm},
		{"3.2 appropriate algorithms: one of another kind", good(t, claims(), header("alg", "RSA1_5")), guard.ReasonAlgorithm},
		{"3.2 alg is a list", good(t, claims(), header("alg", []string{"ES256"})), guard.ReasonAlgorithm},
		{"3.3 validate all operations: an encrypted token", strings.Join([]string{b64(`{"alg":"dir","enc":"A256GCM"}`), "", b64("iv"), b64("text"), b64("tag")}, "."), guard.ReasonMalformed},
		{"3.3 a nested token whose inside is good", signed(t, `{"alg":"ES256","typ":"at+jwt","kid":"ec","cty":"JWT"}`, good(t, claims())), guard.ReasonMalformed},
		{"3.3 an unencoded payload", signed(t, `{"alg":"ES256","typ":"at+jwt","kid":"ec","b64":false,"crit":["b64"]}`, written("")), guard.ReasonCritical},
		{"3.3 an unencoded payload that is not marked", signed(t, `{"alg":"ES256","typ":"at+jwt","kid":"ec","b64":false}`, written("")), guard.ReasonCritical},
		{"3.3 several signatures", `{"payload":"` + part[1] + `","signatures":[{"protected":"` + part[0] + `","signature":"` + part[2] + `"}]}`, guard.ReasonMalformed},
		{"3.3 a signature for each of two keys", strings.Join(append(part, part[2]), "."), guard.ReasonMalformed},
		{"3.3 an extension that must be understood", good(t, claims(), header("crit", []string{"exp"})), guard.ReasonCritical},
		{"3.3 crit that names nothing", good(t, claims(), header("crit", []string{})), guard.ReasonCritical},
		{"3.4 validate inputs: a signature of zeros (CVE-2022-21449)", part[0] + "." + part[1] + "." + b64(strings.Repeat("\x00", 64)), guard.ReasonSignature},
		{"3.4 a signature that is too long", part[0] + "." + part[1] + "." + part[2] + "AAAA", guard.ReasonSignature},
		{"3.6 no compression", signed(t, `{"alg":"ES256","typ":"at+jwt","kid":"ec","zip":"DEF"}`, deflated.String()), guard.ReasonMalformed},
		{"3.7 UTF-8 in claims", signed(t, plainJOSE, written(",\"name\":\"\xff\"")), guard.ReasonMalformed},
		{"3.7 UTF-8 in the header", signed(t, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"ec\",\"x\":\"\xff\"}", written("")), guard.ReasonMalformed},
		{"3.8 validate issuer", good(t, claims(set("iss", "https://evil.example"))), guard.ReasonIssuer},
		{"3.8 the key belongs to the issuer", sign(t, jwt.SigningMethodES256, stranger, "ec", claims()), guard.ReasonSignature},
		{"3.8 issuer in another case", good(t, claims(set("iss", "https://ISSUER.example"))), guard.ReasonIssuer},
		{"3.8 a subject is there", good(t, claims(without("sub"))), guard.ReasonIncomplete},
		{"3.9 validate audience", good(t, claims(set("aud", "https://other.example"))), guard.ReasonAudience},
		{"3.9 audience missing", good(t, claims(without("aud"))), guard.ReasonIncomplete},
		{"3.9 audience that only begins alike", good(t, claims(set("aud", audience+".evil"))), guard.ReasonAudience},
		{"3.10 kid is only looked up: a path", sign(t, jwt.SigningMethodES256, ecKey, "../../../../dev/null", claims()), guard.ReasonKey},
		{"3.10 kid is only looked up: SQL", sign(t, jwt.SigningMethodES256, ecKey, "x' UNION SELECT 'ec' -- ", claims()), guard.ReasonKey},
		{"3.10 kid is only looked up: a URL", sign(t, jwt.SigningMethodES256, stranger, "https://evil.example/jwks", claims()), guard.ReasonKey},
		{"3.10 a key in the token is not used", sign(t, jwt.SigningMethodES256, stranger, "ec", claims(), header("jwk", embedded)), guard.ReasonSignature},
		{"3.10 a certificate in the token is not used", sign(t, jwt.SigningMethodES256, stranger, "ec", claims(), header("x5c", []string{"MIIB"})), guard.ReasonSignature},
		{"3.11 explicit typing", good(t, claims(), header("typ", "JWT")), guard.ReasonType},
		{"3.11 typ with parameters", good(t, claims(), header("typ", "at+jwt;x=y")), guard.ReasonType},
		{"3.12 rules that exclude each other: an ID token", good(t, claims(set("nonce", "n")), header("typ", "JWT")), guard.ReasonType},
		{"3.12 a logout token", good(t, claims(), header("typ", "logout+jwt")), guard.ReasonType},
		{"3.12 a security event token", good(t, claims(), header("typ", "secevent+jwt")), guard.ReasonType},
		{"3.12 an introspection answer", good(t, claims(), header("typ", "token-introspection+jwt")), guard.ReasonType},
	})
}

// TestRFC9068 goes through sections 2 and 4 of JSON Web Token Profile for OAuth
// 2.0 Access Tokens.
func TestRFC9068(t *testing.T) {
	t.Parallel()
	part := strings.Split(good(t, claims()), ".")
	rules := []rule{
		{"4 typ is at+jwt", good(t, claims()), ""},
		{"4 typ is application/at+jwt", good(t, claims(), header("typ", "application/at+jwt")), ""},
		{"4 no other typ", good(t, claims(), header("typ", "jwt")), guard.ReasonType},
		{"4 no typ", good(t, claims(), withoutHeader("typ")), guard.ReasonType},
		{"4 iss is the issuer, exactly", good(t, claims(set("iss", issuer+"/"))), guard.ReasonIssuer},
		{"4 aud holds an identifier of ours", good(t, claims(set("aud", []string{"https://other.example", audience}))), ""},
		{"4 aud holds none", good(t, claims(set("aud", []string{"https://other.example"}))), guard.ReasonAudience},
		{"4 aud is empty", good(t, claims(set("aud", []string{}))), guard.ReasonIncomplete},
		{"4 signature", part[0] + "." + part[1] + "." + b64(strings.Repeat("x", 64)), guard.ReasonSignature},
		{"4 not none", b64(`{"alg":"none","typ":"at+jwt"}`) + "." + part[1] + ".", guard.ReasonAlgorithm},
		{"4 keys of the issuer: jku is not followed", good(t, claims(), header("jku", "https://evil.example/jwks")), ""},
		{"4 keys of the issuer: x5u is not followed", good(t, claims(), header("x5u", "https://evil.example/cert")), ""},
		{"4 before exp", good(t, claims(set("exp", now.Unix()))), guard.ReasonExpired},
		{"2.1 RS256 is understood", sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims()), ""},
	}
	for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
		rules = append(rules, rule{"2.2 " + name + " is required", good(t, claims(without(name))), guard.ReasonIncomplete},
			rule{"2.2 " + name + " is not null", good(t, claims(set(name, nil))), guard.ReasonIncomplete},
			rule{"2.2 " + name + " is not an object", good(t, claims(set(name, map[string]any{"a": 1}))), guard.ReasonMalformed})
	}
	checkRules(t, rules)
}

// TestTextsThatReadersDisagreeOn has tokens with a good signature that two
// libraries would read as two different ones.
func TestTextsThatReadersDisagreeOn(t *testing.T) {
	t.Parallel()
	raw := good(t, claims())
	part := strings.Split(raw, ".")
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	checkRules(t, []rule{
		{"a claim twice", signed(t, plainJOSE, written(`,"sub":"mallory"`)), guard.ReasonMalformed},
		{"a claim twice, once escaped", signed(t, plainJOSE, written(`,"su\u0062":"mallory"`)), guard.ReasonMalformed},
		{"a member twice inside a claim", signed(t, plainJOSE, written(`,"act":{"sub":"a","sub":"b"}`)), guard.ReasonMalformed},
		{"a member twice inside a list", signed(t, plainJOSE, written(`,"act":[{"sub":"a","sub":"b"}]`)), guard.ReasonMalformed},
		{"one name in two objects", signed(t, plainJOSE, written(`,"act":{"sub":"a","act":{"sub":"b:\"{"}}`)), ""},
		{"a parameter of the header twice", signed(t, `{"alg":"ES256","typ":"JWT","typ":"at+jwt","kid":"ec"}`, written("")), guard.ReasonMalformed},
		{"as deep as allowed", signed(t, plainJOSE, written(`,"x":`+deep(31))), ""},
		{"too deep", signed(t, plainJOSE, written(`,"x":`+deep(32))), guard.ReasonMalformed},
		{"far too deep", signed(t, plainJOSE, written(`,"x":`+deep(5000))), guard.ReasonMalformed},
		{"a header that is too deep", signed(t, `{"alg":"ES256","typ":"at+jwt","kid":"ec","x":`+deep(32)+`}`, written("")), guard.ReasonMalformed},
		{"claims are null", signed(t, plainJOSE, "null"), guard.ReasonIncomplete},
		{"claims are a list", signed(t, plainJOSE, "[]"), guard.ReasonMalformed},
		{"claims, and more behind them", signed(t, plainJOSE, written("")+"{}"), guard.ReasonMalformed},
		{"white space inside the JSON", signed(t, plainJOSE, " "+written(" \n")+"\n"), ""},
		{"a line end in the signature", part[0] + "." + part[1] + "." + part[2][:9] + "\n" + part[2][9:], guard.ReasonMalformed},
		{"a line end in the claims", part[0] + "." + part[1][:9] + "\r\n" + part[1][9:] + "." + part[2], guard.ReasonMalformed},
		{"a space before", " " + raw, guard.ReasonMalformed},
		{"a space behind", raw + " ", guard.ReasonMalformed},
		{"padding", raw + "==", guard.ReasonMalformed},
		{"bits that mean nothing", looseEnd(raw), guard.ReasonMalformed},
		{"standard base64", part[0] + "." + part[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(otherLetters(part)), guard.ReasonMalformed},
		{"no byte order mark", signed(t, plainJOSE, "\ufeff"+written("")), guard.ReasonMalformed},
		{"an id that no revocation can name: too long", good(t, claims(set("jti", strings.Repeat("x", 513)))), guard.ReasonMalformed},
		{"an id that no revocation can name: a control character", good(t, claims(set("sid", "a\x00b"))), guard.ReasonMalformed},
		{"an audience that is no text", good(t, claims(set("aud", []any{audience, 1}))), guard.ReasonMalformed},
	})
}

// looseEnd is raw with another last letter that decodes to the same signature.
func looseEnd(raw string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, raw[len(raw)-1])
	return raw[:len(raw)-1] + letters[last|1:last|1+1]
}

// otherLetters is a signature with a letter that standard base64 writes otherwise.
func otherLetters(part []string) string {
	for {
		sig := must(jwt.SigningMethodES256.Sign(part[0]+"."+part[1], ecKey))
		if s := base64.RawURLEncoding.EncodeToString(sig); strings.ContainsAny(s, "-_") {
			return s
		}
	}
}

func TestTokensAreBounded(t *testing.T) {
	t.Parallel()
	many := maps.Clone(claims())
	for i := range 300 {
		many[fmt.Sprint("x", i)] = strings.Repeat("y", 20)
	}
	if r := reasonOf(t, newGuard(t), good(t, many)); r != "" {
		t.Errorf("many claims, short enough: %s", r)
	}
	many["z"] = strings.Repeat("y", 16<<10)
	if r := reasonOf(t, newGuard(t), good(t, many)); r != guard.ReasonMalformed {
		t.Errorf("too long: %q", r)
	}
}
