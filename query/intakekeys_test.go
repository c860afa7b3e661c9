package query_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/envelope/envelopetest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/canary"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/query"
)

func TestIntakeKeysAreShownToEverybody(t *testing.T) {
	t.Parallel()
	keys := envelopetest.New(t)
	a := serve(t, (&parts{sealing: keys}).config())
	got := a.call("", "GET", "/v1/keys/intake", nil).want(t, http.StatusOK)
	set, err := envelope.ParseSet(got.body)
	if err != nil || len(set.Keys) != 1 || set.Keys[0].ID != keys.Private.ID || time.Since(set.Now) > time.Minute {
		t.Fatalf("%s: %v", got.body, err)
	}
	none := serve(t, (&parts{}).config())
	if p := none.call("", "GET", "/v1/keys/intake", nil).want(t, http.StatusServiceUnavailable).problem(t); !strings.Contains(p.Type, string(query.KindUnavailable)) {
		t.Errorf("without a key: %+v", p)
	}
}

// TestEncryptedEventsAreJudgedLikeOthers sends envelopes over HTTP.
func TestEncryptedEventsAreJudgedLikeOthers(t *testing.T) {
	t.Parallel()
	p := &parts{sealing: envelopetest.New(t)}
	a := serve(t, p.config())
	issuer := a.token("issuer", "acme")
	seal := func(to envelope.PublicKey, contentType string, ev any) string {
		plain, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		body, err := envelope.Seal(to, contentType, plain)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	send := func(body string) answer {
		return a.call(issuer, "POST", "/v1/events", body, "Content-Type", envelope.ContentType)
	}
	ours := p.sealing.Private.PublicKey
	batch := []any{event("id", "good"), event("id", "theirs", "rescindtenant", "globex")}
	var out query.EventsAccepted
	send(seal(ours, events.ContentTypeBatch, batch)).want(t, http.StatusAccepted).into(t, &out)
	if out.Accepted != 1 || len(out.Refused) != 1 || out.Refused[0].Reason != events.ReasonMismatch || len(p.published) != 1 || p.published[0].ID != "good" {
		t.Errorf("%+v, published %v", out, p.published)
	}
	good := seal(ours, events.ContentTypeEvent, event())
	for name, body := range map[string]string{"garbage": "garbage", "cut": good[:len(good)-5], "a token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"} {
		if p := send(body).want(t, http.StatusBadRequest).problem(t); strings.Contains(p.Detail, "eyJ") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	foreign := seal(envelopetest.New(t).Private.PublicKey, events.ContentTypeEvent, event())
	if p := send(foreign).want(t, http.StatusUnprocessableEntity).problem(t); !strings.Contains(p.Detail, "published now") {
		t.Errorf("another key: %+v", p)
	}
	if len(p.published) != 1 {
		t.Errorf("published %d", len(p.published))
	}
}

// TestNodePublishes runs docs/publishing over both ways, with nothing but Node.
func TestNodePublishes(t *testing.T) {
	t.Parallel()
	h := build(t)
	run := func(jti string, args ...string) string {
		t.Helper()
		ev, err := json.Marshal(issued(jti))
		if err != nil {
			t.Fatal(err)
		}
		var failed bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "node", append([]string{filepath.Join("..", "docs", "publishing", "publish.mjs"), h.url}, args...)...)
		cmd.Env, cmd.Stdin, cmd.Stderr = append(os.Environ(), "RESCIND_TOKEN="+h.token("issuer", "acme")), bytes.NewReader(ev), &failed
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s%s", err, out, &failed)
		}
		return string(out)
	}
	var out query.EventsAccepted
	if err := json.Unmarshal([]byte(run("node-http")), &out); err != nil || out.Accepted != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	m := nats.NewMsg(stream.EventSubject("acme", events.TokenIssued))
	m.Data = []byte(run("node-nats", "--print"))
	m.Header.Set("Content-Type", envelope.ContentType)
	if _, err := natsdtest.JetStream(t, h.kit.NATS, natsd.Issuer).PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, jti := range []string{"node-http", "node-nats"} {
		h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": jti, "type": "token.issued"}, 1)
	}
}

// TestNothingPersonalFromHTTPIsOnTheDisk publishes while no intake runs, and
// searches the files of NATS.
func TestNothingPersonalFromHTTPIsOnTheDisk(t *testing.T) {
	t.Parallel()
	const secret = "canary-53bd0aa871"
	h := build(t)
	h.kit.StopIntake()
	ev := issued(secret + "-jti")
	data := ev["data"].(map[string]any)
	data["sub"], data["note"], data["personal"] = secret+"@example.com", "é "+secret, map[string]any{"name": secret}
	ev["id"] = "canary-event"
	h.post("issuer", "/v1/events", ev, http.StatusAccepted, nil)
	dir := filepath.Dir(h.kit.NATS.CredsFile(natsd.API))
	if hits, err := canary.Scan(dir, secret); err != nil || len(hits) != 0 {
		t.Errorf("%v, %v", hits, err)
	}
	if hits, err := canary.Scan(dir, "rescind.events.acme.token.issued"); err != nil || len(hits) == 0 {
		t.Errorf("not even the message is found: the search does not work: %v", err)
	}
	h.kit.Intake()
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": secret + "-jti"}, 1)
}

// TestAnEnvelopeIsReplayedOnceItsKeyIsThere is a message that came under a key
// which the keyring had lost and has again; and one whose key is gone for good.
func TestAnEnvelopeIsReplayedOnceItsKeyIsThere(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	set, err := h.kit.IntakeKeys().Published(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replay := func(to envelope.PublicKey, status int) answer {
		t.Helper()
		batch, err := json.Marshal([]any{issued("late-1"), issued("late-2")})
		if err != nil {
			t.Fatal(err)
		}
		body, err := envelope.Seal(to, events.ContentTypeBatch, batch)
		if err != nil {
			t.Fatal(err)
		}
		seq := h.parkAs(body, map[string]any{"id": "", "source": "", "type": string(events.TokenIssued)}, func(q *stream.Quarantined) { q.Reason = events.ReasonIntakeKey })
		return h.call(h.token("admin", "acme"), "POST", fmt.Sprintf("/v1/quarantine/%d/replay", seq), nil).want(t, status)
	}
	if p := replay(envelopetest.New(t).Private.PublicKey, http.StatusConflict).problem(t); !strings.Contains(p.Detail, "no intake key") {
		t.Errorf("a key that is gone: %+v", p)
	}
	replay(set.Current(set.Now), http.StatusOK)
	for _, jti := range []string{"late-1", "late-2"} {
		h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": jti}, 1)
	}
}
