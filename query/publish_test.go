package query_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
)

// event is a valid CloudEvent, changed by the pairs of member and value: a
// member of the envelope, or of data after a dot.
func event(pairs ...any) map[string]any {
	data := map[string]any{"iss": "https://id.acme", "jti": "j-1"}
	ev := map[string]any{
		"specversion": "1.0", "id": "e-1", "source": "test", "type": "dev.rescind.token.issued.v1",
		"time": time.Now().UTC().Format(time.RFC3339Nano), "rescindtenant": "acme", "data": data,
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, in := pairs[i].(string), ev
		if member, of := strings.CutPrefix(name, "."); of {
			name, in = member, data
		}
		if pairs[i+1] == nil {
			delete(in, name)
		} else {
			in[name] = pairs[i+1]
		}
	}
	return ev
}

const card = "4111 1111 1111 1111"

// TestPublish is one faulty event after the other, each beside a valid one
// that must get through.
func TestPublish(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		role   string
		ev     map[string]any
		reason events.Reason
	}{
		{"no id", "issuer", event("id", nil), events.ReasonMissing},
		{"no time", "issuer", event("time", nil), events.ReasonMissing},
		{"unknown type", "issuer", event("type", "dev.rescind.token.eaten.v1"), events.ReasonType},
		{"required member missing", "issuer", event(".jti", nil), events.ReasonMissing},
		{"wrong shape", "issuer", event(".iat", "yesterday"), events.ReasonSchema},
		{"a year ahead", "issuer", event("time", time.Now().AddDate(1, 0, 0).Format(time.RFC3339)), events.ReasonTime},
		{"foreign environment", "issuer", event("rescindenv", "prod"), events.ReasonEnvironment},
		{"raw token", "issuer", event(".note", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"), events.ReasonRawToken},
		{"card number", "issuer", event(".attributes", map[string]string{"a": card}), events.ReasonCardNumber},
		{"health claim", "issuer", event(".personal", map[string]any{"diagnosis": "x"}), events.ReasonHealth},
		{"reserved", "issuer", event("type", "dev.rescind.audit.accessed.v1", ".actor", "x", ".attributes", map[string]string{"purpose": "p"}), events.ReasonReserved},
		{"our source", "issuer", event("source", "rescind:requests"), events.ReasonReserved},
		{"a source that may be ours one day", "issuer", event("source", "rescind:cli"), events.ReasonReserved},
		{"our source, from a verifier", "verifier", event("source", "rescind:api", "type", "dev.rescind.token.verified.v1"), events.ReasonReserved},
		{"another tenant", "issuer", event("rescindtenant", "globex"), events.ReasonMismatch},
		{"two tenants", "issuer", event(".tenant", "globex"), events.ReasonMismatch},
		{"a verifier that issues", "verifier", event(), events.ReasonReserved},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := new(parts)
			a := serve(t, p.config())
			beside := event("id", "good", "type", "dev.rescind.token.verified.v1")
			got := a.call(a.token(c.role, "acme"), "POST", "/v1/events", []any{c.ev, beside}, "Content-Type", events.ContentTypeBatch).want(t, http.StatusAccepted)
			var out query.EventsAccepted
			got.into(t, &out)
			if out.Accepted != 1 || len(out.Refused) != 1 || out.Refused[0].Reason != c.reason {
				t.Fatalf("%s", got.body)
			}
			if len(p.published) != 1 || p.published[0].ID != "good" {
				t.Fatalf("published %v", p.published)
			}
			if len(p.quarantine) != 1 || p.quarantine[0].Reason != c.reason {
				t.Fatalf("quarantine %v", p.quarantine)
			}
			for _, secret := range []string{card, "eyJ"} {
				if strings.Contains(string(got.body), secret) {
					t.Errorf("the answer repeats %s", secret)
				}
			}
			if strings.Contains(fmt.Sprint(p.quarantine), "globex") {
				t.Error("kept under a tenant that the caller does not reach")
			}
		})
	}
}

func TestPublishModes(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	token := a.token("issuer", "acme")
	a.call(token, "POST", "/v1/events", event("id", "structured", "source", "rescind-cli"), "Content-Type", events.ContentTypeEvent).want(t, http.StatusAccepted)
	a.call(token, "POST", "/v1/events", event("id", "plain json", "rescindtenant", nil)).want(t, http.StatusAccepted)
	a.call(token, "POST", "/v1/events", []any{event("id", "batch 1"), event("id", "batch 2")}, "Content-Type", events.ContentTypeBatch).want(t, http.StatusAccepted)
	a.call(token, "POST", "/v1/events", map[string]any{"iss": "i", "jti": "j"}, "ce-specversion", "1.0", "ce-id", "binary",
		"ce-source", "s", "ce-type", "dev.rescind.token.issued.v1", "ce-time", "2026-01-02T03:04:05Z").want(t, http.StatusAccepted)
	for mode, ids := range map[string][]string{events.ContentTypeProtobuf: {"protobuf"}, events.ContentTypeProtobufBatch: {"protobuf 1", "protobuf 2"}} {
		var each [][]byte
		for _, id := range ids {
			b, err := events.MarshalProtobuf(&events.Event{
				ID: id, Source: "s", Type: events.TokenIssued, Time: time.Now(), Data: events.Data{Issuer: "i", TokenID: "j"},
			})
			if err != nil {
				t.Fatal(err)
			}
			each = append(each, b)
		}
		body := each[0]
		if mode == events.ContentTypeProtobufBatch {
			body = events.AppendJoined(nil, each)
		}
		a.call(token, "POST", "/v1/events", string(body), "Content-Type", mode).want(t, http.StatusAccepted)
	}
	var ids []string
	slices.SortStableFunc(p.published[5:], func(a, b events.Event) int { return strings.Compare(a.ID, b.ID) })
	for _, ev := range p.published {
		ids = append(ids, ev.ID)
		if ev.Tenant != "acme" || ev.Environment != "test" {
			t.Errorf("%s: tenant %q environment %q", ev.ID, ev.Tenant, ev.Environment)
		}
	}
	if d := cmp.Diff([]string{"structured", "plain json", "batch 1", "batch 2", "binary", "protobuf", "protobuf 1", "protobuf 2"}, ids); d != "" {
		t.Error(d)
	}
}

// TestPublishWhole is what is wrong with a message as a whole.
func TestPublishWhole(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	token := a.token("issuer", "acme")
	full := func(n int) string {
		const head, tail = `{"specversion":"1.0","pad":"`, `"}`
		return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
	}
	if n := len(full(events.MaxMessageBytes)); n != events.MaxMessageBytes {
		t.Fatalf("%d bytes", n)
	}
	for _, c := range []struct {
		name, contentType, body, kind string
		status                        int
	}{
		{"not JSON", events.ContentTypeBatch, "nope", "body", 400},
		{"not JSON, one event", events.ContentTypeEvent, "nope", "body", 400},
		{"a batch that says it is one event", "application/json", "[{}]", "body", 400},
		{"empty", events.ContentTypeEvent, "", "body", 400},
		{"wrong content type", "text/plain", "{}", "content-type", 415},
		{"no content type", "", "{}", "content-type", 415},
		{"1 MiB", events.ContentTypeEvent, full(events.MaxMessageBytes), "", 202},
		{"1 MiB + 1", events.ContentTypeEvent, full(events.MaxMessageBytes + 1), "too-large", 413},
	} {
		got := a.call(token, "POST", "/v1/events", c.body, "Content-Type", c.contentType)
		if got.status != c.status || c.kind != "" && got.problem(t).Type != "urn:rescind:problem:"+c.kind {
			t.Errorf("%s: %d %.300s", c.name, got.status, got.body)
		}
	}
	dense := "[" + strings.TrimSuffix(strings.Repeat("{},", 1001), ",") + "]"
	got := a.call(token, "POST", "/v1/events", dense, "Content-Type", events.ContentTypeBatch).want(t, http.StatusRequestEntityTooLarge).problem(t)
	if !strings.Contains(got.Detail, "batch of 1001 events in 3004 bytes") {
		t.Errorf("more events than bytes for them: %q", got.Detail)
	}
	many := strings.TrimSuffix(strings.Repeat(`{"pad":"`+strings.Repeat("a", 50)+`"},`, 1001), ",")
	a.call(token, "POST", "/v1/events", "["+many+"]", "Content-Type", events.ContentTypeBatch).want(t, http.StatusUnprocessableEntity)
	if len(p.published) != 0 || len(p.quarantine) != 1 {
		t.Errorf("published %d, quarantined %d", len(p.published), len(p.quarantine))
	}
}

// TestBodyCutOff: what arrived of a body is not acted on, though it may parse.
func TestBodyCutOff(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"tenant":"acme","scope":"token","iss":"i","jti":"j","reason":"r"}`
	fmt.Fprintf(conn, "POST /v1/revocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		a.token("issuer", "acme"), len(body)+10, body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
	if len(p.published) != 0 {
		t.Error("acted on half a body")
	}
}

// TestPublisherFails: nothing that is not durable is called accepted.
func TestPublisherFails(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"down":        errors.New("no responders at 10.0.0.7"),
		"unconfirmed": &stream.NotAccepted{Of: 1, Events: []stream.Failure{{Err: stream.ErrUnconfirmed}}},
	} {
		p := &parts{publishErr: err}
		a := serve(t, p.config())
		for path, body := range map[string]any{
			"/v1/events":      event(),
			"/v1/revocations": map[string]any{"tenant": "acme", "scope": "token", "iss": "i", "jti": "j", "reason": "r"},
		} {
			got := a.call(a.token("issuer", "acme"), "POST", path, body).want(t, http.StatusServiceUnavailable)
			if got.header.Get("Retry-After") == "" || strings.Contains(string(got.body), "10.0.0.7") {
				t.Errorf("%s %s: %v %s", name, path, got.header, got.body)
			}
		}
	}
	refused := &parts{publishErr: &stream.NotAccepted{Of: 1, Events: []stream.Failure{{Event: events.Event{ID: "e-1"}, Err: &events.Refusal{Reason: events.ReasonTooLarge, Detail: "d"}}}}}
	a := serve(t, refused.config())
	var out query.EventsAccepted
	a.call(a.token("issuer", "acme"), "POST", "/v1/events", event()).want(t, http.StatusAccepted).into(t, &out)
	if out.Accepted != 0 || len(out.Refused) != 1 || out.Refused[0].ID != "e-1" {
		t.Errorf("%+v", out)
	}
}
