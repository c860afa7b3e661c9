package dev_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

const rawToken = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."

// cloudEvent is one event as JSON; change edits its attributes.
func cloudEvent(id string, change func(ev, data map[string]any)) string {
	data := map[string]any{"tenant": "acme", "iss": "https://id.example", "jti": "t-" + id}
	ev := map[string]any{
		"specversion": "1.0", "id": id, "source": "s", "type": "dev.rescind.token.issued.v1",
		"time": time.Now().UTC().Format(time.RFC3339), "rescindenv": "dev", "data": data,
	}
	if change != nil {
		change(ev, data)
	}
	b, err := json.Marshal(ev)
	if err != nil {
		panic(err) // maps of strings
	}
	return string(b)
}

// badEvents are events that must be refused, with the reason.
var badEvents = []struct {
	name   string
	reason events.Reason
	change func(ev, data map[string]any)
}{
	{"unknown type", events.ReasonType, func(ev, _ map[string]any) { ev["type"] = "dev.rescind.token.lost.v1" }},
	{"schema violation", events.ReasonSchema, func(_, data map[string]any) { data["exp"] = "tomorrow" }},
	{"missing member", events.ReasonMissing, func(_, data map[string]any) { delete(data, "jti") }},
	{"missing id", events.ReasonMissing, func(ev, _ map[string]any) { delete(ev, "id") }},
	{"a year ahead", events.ReasonTime, func(ev, _ map[string]any) { ev["time"] = time.Now().AddDate(1, 0, 0).Format(time.RFC3339) }},
	{"foreign environment", events.ReasonEnvironment, func(ev, _ map[string]any) { ev["rescindenv"] = "staging" }},
	{"raw token in a note", events.ReasonRawToken, func(_, data map[string]any) { data["note"] = "see " + rawToken }},
	{"raw token in an attribute", events.ReasonRawToken, func(_, data map[string]any) { data["attributes"] = map[string]string{"a": rawToken} }},
	{"raw token in personal", events.ReasonRawToken, func(_, data map[string]any) { data["personal"] = map[string]any{"a": []any{rawToken}} }},
	{"raw token as id", events.ReasonRawToken, func(ev, _ map[string]any) { ev["id"] = rawToken }},
	{"card number", events.ReasonCardNumber, func(_, data map[string]any) { data["note"] = "4111 1111 1111 1111" }},
	{"health claim", events.ReasonHealth, func(_, data map[string]any) { data["personal"] = map[string]any{"diagnosis": "x"} }},
}

// TestBadEventsOnNATS publishes each bad event in a batch with a good one.
func TestBadEventsOnNATS(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	js, err := jetstream.New(natsdtest.Connect(t, s.NATS, natsd.Issuer))
	if err != nil {
		t.Fatal(err)
	}
	want := map[events.Reason]int{}
	for i, bad := range badEvents {
		body := fmt.Sprintf("[%s,%s]", cloudEvent(fmt.Sprintf("bad-%d", i), bad.change), cloudEvent(fmt.Sprintf("good-%d", i), nil))
		send(t, js, events.ContentTypeBatch, body)
		want[bad.reason]++
	}
	for contentType, body := range map[string]string{"": "not json", "text/plain": "hello"} {
		send(t, js, contentType, body)
	}
	want[events.ReasonNotJSON]++
	want[events.ReasonContentType]++
	same := cloudEvent("same", nil)
	send(t, js, "", same)
	send(t, js, "", same) // the same content: dropped
	send(t, js, "", cloudEvent("same", func(_, data map[string]any) { data["jti"] = "another" }))
	want[events.ReasonConflict]++

	officer := client.New(s.File.HTTP, s.File.Tokens["officer"])
	devtest.Eventually(t, "every good event, once", func() (bool, error) {
		var got client.Trail
		err := officer.Call(t.Context(), "POST", "/v1/audit/search", map[string]any{"tenant": "acme", "type": "token.issued", "limit": 1000}, &got)
		return len(got.Events) == len(badEvents)+1, err
	})
	devtest.Drained(t, s)
	got := quarantined(t, officer)
	for reason, n := range want {
		if got[reason] != n {
			t.Errorf("%s: %d in quarantine, want %d", reason, got[reason], n)
		}
	}
}

func send(t *testing.T, js jetstream.JetStream, contentType, body string) {
	t.Helper()
	m := &nats.Msg{Subject: "rescind.events.acme.token.issued", Data: []byte(body)}
	if contentType != "" {
		m.Header = nats.Header{"Content-Type": {contentType}}
	}
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// quarantined counts what was refused by reason, and looks for what must not
// be in the list.
func quarantined(t *testing.T, c *client.Client) map[events.Reason]int {
	t.Helper()
	var raw json.RawMessage
	if err := c.Call(t.Context(), "GET", "/v1/quarantine?tenant=acme&limit=1000", nil, &raw); err != nil {
		t.Fatal(err)
	}
	for _, held := range []string{"eyJ", "4111 1111", "41111111"} { // a digest may have 4111 in it
		if bytes.Contains(raw, []byte(held)) {
			t.Errorf("the quarantine list repeats what was refused for what it holds: %s", held)
		}
	}
	var list struct {
		Quarantined []client.Quarantined `json:"quarantined"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	out := map[events.Reason]int{}
	for _, q := range list.Quarantined {
		out[events.Reason(q.Reason)]++
	}
	return out
}

// testTooLargeOnNATS sends a message that is larger than the intake takes.
func testTooLargeOnNATS(t *testing.T, s *dev.Stack) {
	js, err := jetstream.New(natsdtest.Connect(t, s.NATS, natsd.Issuer))
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.Publish(t.Context(), "rescind.events.acme.token.issued", make([]byte, 2<<20))
	if err == nil || !strings.Contains(err.Error(), "exceed") {
		t.Errorf("2 MiB: got %v, want an error that says so", err)
	}
	send(t, js, "", strings.Repeat(" ", events.MaxMessageBytes+1)) // within the stream's limit, over ours
	officer := client.New(s.File.HTTP, s.File.Tokens["officer"])
	devtest.Eventually(t, "the quarantine entry", func() (bool, error) {
		return quarantined(t, officer)[events.ReasonTooLarge] == 1, nil
	})
}

// testUnauthorisedPublishers are refused by NATS itself.
func testUnauthorisedPublishers(t *testing.T, s *dev.Stack) {
	if nc, err := nats.Connect(s.File.NATS); err == nil {
		nc.Close()
		t.Error("a client without credentials connected")
	}
	for _, tt := range []struct {
		role    natsd.Role
		subject string
	}{
		{natsd.Verifier, "rescind.events.acme.token.revoked"}, {natsd.Verifier, "rescind.log.control"}, {natsd.Verifier, "rescind.revocations"},
		{natsd.Issuer, "rescind.log.access"}, {natsd.Issuer, "rescind.events.acme.request.approved"}, {natsd.Issuer, "rescind.keyring.x"},
		{natsd.API, "rescind.log.control"}, {natsd.API, "rescind.revocations"},
	} {
		denied := make(chan error, 1)
		nc, err := s.NATS.Connect(tt.role, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(nc.Publish(tt.subject, []byte("{}")), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-denied:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s on %s: %v", tt.role, tt.subject, err)
			}
		case <-time.After(devtest.Patience):
			t.Errorf("%s may publish on %s", tt.role, tt.subject)
		}
		nc.Close()
	}
}

// testBadBodiesOverHTTP sends the same faults to POST /v1/events.
func testBadBodiesOverHTTP(t *testing.T, s *dev.Stack) {
	for i, bad := range badEvents {
		body := fmt.Sprintf("[%s,%s]", cloudEvent(fmt.Sprintf("bad-%d", i), bad.change), cloudEvent(fmt.Sprintf("good-%d", i), nil))
		status, answer := post(t, s, events.ContentTypeBatch, body)
		var got client.Published
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 202 {
			t.Errorf("%s: %d %s", bad.name, status, answer)
			continue
		}
		if got.Accepted != 1 || len(got.Refused) != 1 || got.Refused[0].Reason != bad.reason || got.Refused[0].Detail == "" {
			t.Errorf("%s: %s, want one accepted and one refused as %s", bad.name, answer, bad.reason)
		}
		if strings.Contains(answer, "eyJ") {
			t.Errorf("%s: the answer repeats the token", bad.name)
		}
	}
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"not JSON", events.ContentTypeEvent, "not json", 400},
		{"empty", events.ContentTypeEvent, "", 400},
		{"wrong content type", "text/plain", "hello", 415},
		{"1 MiB + 1", events.ContentTypeEvent, strings.Repeat(" ", 1<<20+1), 413},
	} {
		status, answer := post(t, s, tt.contentType, tt.body)
		var p client.Problem
		if err := json.Unmarshal([]byte(answer), &p); status != tt.status && status != 202 || status == 202 && !strings.Contains(answer, "reason") || err != nil {
			t.Errorf("%s: %d %s, want %d", tt.name, status, answer, tt.status)
		}
	}
	cutOff(t, s)
	conflictOverHTTP(t, s)
}

// conflictOverHTTP sends an id again with other content: it cannot be told at
// the door, and is recorded.
func conflictOverHTTP(t *testing.T, s *dev.Stack) {
	t.Helper()
	for _, jti := range []string{"one", "one", "two"} {
		post(t, s, events.ContentTypeEvent, cloudEvent("same", func(ev, data map[string]any) {
			ev["time"], data["jti"] = "2026-01-01T00:00:00Z", jti
		}))
	}
	officer := client.New(s.File.HTTP, s.File.Tokens["officer"])
	devtest.Eventually(t, "the conflict", func() (bool, error) { return quarantined(t, officer)[events.ReasonConflict] == 1, nil })
}

func post(t *testing.T, s *dev.Stack, contentType, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.File.HTTP+"/v1/events", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+s.File.Tokens["issuer"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode, string(b)
}

// cutOff sends half of a body and closes its side.
func cutOff(t *testing.T, s *dev.Stack) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.File.HTTP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := cloudEvent("cut", nil)
	fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		s.File.Tokens["issuer"], events.ContentTypeEvent, len(body), body[:len(body)/2])
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("a body cut off half-way: %d, want 400", resp.StatusCode)
	}
}

// testBadAccessTokens presents tokens that must not open the API.
func testBadAccessTokens(t *testing.T, s *dev.Stack) {
	good, kid, err := s.Keys.APIKey()
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, change func(h map[string]any, c jwt.MapClaims)) string {
		tok := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": dev.TokenIssuer, "aud": dev.TokenAudience, "sub": "x", "client_id": "x", "jti": "1", "scope": "findings:read", "tenants": []string{"*"},
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		})
		tok.Header["typ"], tok.Header["kid"] = "at+jwt", kid
		if change != nil {
			change(tok.Header, tok.Claims.(jwt.MapClaims))
		}
		signed, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	point, err := good.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) int {
		err := client.New(s.File.HTTP, token).Call(t.Context(), "GET", "/v1/findings?tenant=acme", nil, nil)
		if p := (*client.Problem)(nil); errors.As(err, &p) {
			return p.Status
		}
		return 200
	}
	if got := ask(sign(jwt.SigningMethodES256, good, nil)); got != 200 {
		t.Fatalf("the good token: %d", got)
	}
	for name, token := range map[string]string{
		"none":           sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS256":          sign(jwt.SigningMethodHS256, point, nil),
		"wrong key":      sign(jwt.SigningMethodES256, wrong, nil),
		"unknown kid":    sign(jwt.SigningMethodES256, good, func(h map[string]any, _ jwt.MapClaims) { h["kid"] = "other" }),
		"wrong audience": sign(jwt.SigningMethodES256, good, func(_ map[string]any, c jwt.MapClaims) { c["aud"] = "other" }),
		"wrong issuer":   sign(jwt.SigningMethodES256, good, func(_ map[string]any, c jwt.MapClaims) { c["iss"] = "other" }),
		"expired":        sign(jwt.SigningMethodES256, good, func(_ map[string]any, c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"no expiry":      sign(jwt.SigningMethodES256, good, func(_ map[string]any, c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":        sign(jwt.SigningMethodES256, good, func(_ map[string]any, c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }),
		"an ID token":    sign(jwt.SigningMethodES256, good, func(h map[string]any, _ jwt.MapClaims) { h["typ"] = "JWT" }),
		"cut":            strings.TrimSuffix(sign(jwt.SigningMethodES256, good, nil), "A")[:40],
		"empty":          "",
	} {
		if got := ask(token); got != 401 {
			t.Errorf("%s: %d, want 401", name, got)
		}
	}
	if got := ask(sign(jwt.SigningMethodES256, good, func(_ map[string]any, c jwt.MapClaims) { c["scope"] = "check" })); got != 403 {
		t.Errorf("another scope: %d, want 403", got)
	}
}
