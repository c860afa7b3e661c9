package natsd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

const (
	objectStream = "OBJ_" + stream.SnapshotBucket
	batchedGet   = `{"seq":1,"next_by_subj":"rescind.revocations","batch":8}`
	wait         = 2 * time.Minute
)

// target is a subject that an attacker asks to be answered on, the stream that
// would take the answer, and what a writer of that stream publishes.
type target struct{ reply, stream, honest string }

func targets() []target {
	const fast = ".id.10.fail.1.0.$FI" // a reply that asks for a fast batch
	return []target{
		{"rescind.log.control", stream.LogStream, "rescind.log.control"},
		{"rescind.log.access", stream.LogStream, "rescind.log.access"},
		{"rescind.keyring.t.acme", stream.KeyringStream, "rescind.keyring.t.honest"},
		{"rescind.keyring.t.acme" + fast, stream.KeyringStream, "rescind.keyring.t.honest"},
		{"rescind.revocations", stream.RevocationsStream, "rescind.revocations"},
		{"rescind.live.revocations", stream.RevocationsStream, "rescind.revocations"},
		{"rescind.live.announced", stream.RevocationsStream, "rescind.revocations"},
		{"rescind.quarantine.x", stream.QuarantineStream, "rescind.quarantine.honest"},
		{"rescind.lock.x", stream.LocksStream, "rescind.lock.honest"},
		{"$O.RESCIND_SNAPSHOTS.M.x", objectStream, "$O.RESCIND_SNAPSHOTS.C.honest"},
		{"$JS.API.STREAM.PURGE.RESCIND_KEYRING", stream.KeyringStream, "rescind.keyring.t.honest"},
		{"$JS.API.STREAM.DELETE.RESCIND_KEYRING", stream.KeyringStream, "rescind.keyring.t.honest"},
		{"rescind.events.acme.request.approved", stream.LogStream, "rescind.log.access"},
	}
}

// question is something that a role may ask, which is answered.
type question struct{ subject, body string }

func questions(r natsd.Role) []question {
	if r == issuer {
		return []question{{stream.EventSubject("acme", events.TokenIssued), "{}"}, {stream.IntakeKeysSubject, "{}"}}
	}
	return []question{
		{stream.EventSubject("acme", events.TokenVerified), "{}"},
		{stream.FeedKeysSubject, "{}"},
		{stream.IntakeKeysSubject, "{}"},
		{stream.VerifierSubject("v1"), "{}"},
		{"$JS.API.DIRECT.GET.RESCIND_REVOCATIONS", batchedGet},
		{"$JS.API.DIRECT.GET.RESCIND_REVOCATIONS.rescind.revocations", ""},
		{"$JS.API.STREAM.INFO.RESCIND_REVOCATIONS", ""},
		{"$JS.API.STREAM.INFO." + objectStream, ""},
	}
}

// scene is a server with something on every stream, somebody who answers for
// keys, a verifier that follows the feed, and an attacker.
type scene struct {
	server    *natsd.Server
	operator  jetstream.JetStream
	writer    jetstream.JetStream
	live      *nats.Subscription
	announced *nats.Subscription
	attacker  *nats.Conn
}

func newScene(t *testing.T, r natsd.Role) *scene {
	t.Helper()
	s := natsdtest.Start(t)
	sc := &scene{server: s, operator: natsdtest.JetStream(t, s, operator), writer: natsdtest.JetStream(t, s, projector), attacker: plain(t, s, r)}
	answers(t, sc.writer.Conn())
	for _, x := range targets() {
		sc.write(t, x.honest)
	}
	sc.live = follow(t, natsdtest.Connect(t, s, verifier), stream.LiveRevocations)
	sc.announced = follow(t, natsdtest.Connect(t, s, verifier), stream.LiveAnnouncements)
	return sc
}

// plain connects as any client of NATS would.
func plain(t *testing.T, s *natsd.Server, r natsd.Role) *nats.Conn {
	t.Helper()
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	nc, err := nats.Connect(s.URL(), nats.UserCredentials(s.CredsFile(r)), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// answers answers requests for keys until the test ends.
func answers(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for _, subject := range []string{stream.FeedKeysSubject, stream.IntakeKeysSubject} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte("keys")) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(wait); err != nil {
		t.Fatal(err)
	}
}

func follow(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(wait); err != nil {
		t.Fatal(err)
	}
	return sub
}

func (s *scene) write(t *testing.T, subject string) {
	t.Helper()
	if _, err := s.writer.Publish(t.Context(), subject, []byte("honest")); err != nil {
		t.Fatalf("publish %s: %v", subject, err)
	}
}

func (s *scene) last(t *testing.T, name string) uint64 {
	t.Helper()
	st, err := s.operator.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo().State.LastSeq
}

// attack asks q with an answer on reply, and asks again with an answer to the
// attacker: once that is there, so is the other, wherever it went.
func (s *scene) attack(t *testing.T, q question, reply string) {
	t.Helper()
	if err := s.attacker.PublishMsg(&nats.Msg{Subject: q.subject, Reply: reply, Data: []byte(q.body)}); err != nil {
		t.Fatal(err)
	}
	s.ask(t, q)
}

func (s *scene) ask(t *testing.T, q question) {
	t.Helper()
	if _, err := s.attacker.Request(q.subject, []byte(q.body), wait); err != nil {
		t.Fatalf("ask %s: %v", q.subject, err)
	}
}

// An issuer and a verifier may name any subject to be answered on, and the
// server does not check that they may publish there.
func TestAnswersReachNoStreamOfOurs(t *testing.T) {
	t.Parallel()
	for _, r := range []natsd.Role{issuer, verifier} {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, r)
			for _, x := range targets() {
				for _, q := range questions(r) {
					t.Run(q.subject+" "+x.reply, func(t *testing.T) { s.untouched(t, q, x) })
				}
			}
			s.noInventedEvents(t)
			s.onlyHonestDeltas(t)
			s.onlyHonestAnnouncements(t)
		})
	}
}

// untouched fails where anything but the honest message is on the stream: it
// comes last, so what the attack put there is before it.
func (s *scene) untouched(t *testing.T, q question, x target) {
	before := s.last(t, x.stream)
	s.attack(t, q, x.reply)
	s.write(t, x.honest)
	if after := s.last(t, x.stream); after != before+1 {
		t.Errorf("%s went from seq %d to %d with one honest message", x.stream, before, after)
	}
	entry, err := s.operator.Stream(t.Context(), stream.KeyringStream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.GetLastMsgForSubject(t.Context(), "rescind.keyring.t.honest"); err != nil {
		t.Errorf("the keyring lost an entry: %v", err)
	}
}

// noInventedEvents fails where an answer came back as an event that the
// attacker may not publish.
func (s *scene) noInventedEvents(t *testing.T) {
	t.Helper()
	intake, err := s.operator.Stream(t.Context(), stream.IntakeStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := intake.Info(t.Context(), jetstream.WithSubjectFilter("rescind.events.acme.request.>"))
	if err != nil || len(info.State.Subjects) != 0 {
		t.Errorf("the intake holds requests %v, %v", info.State.Subjects, err)
	}
}

// onlyHonestDeltas fails where the verifier was sent anything but what a
// writer published.
func (s *scene) onlyHonestDeltas(t *testing.T) {
	t.Helper()
	if _, err := s.writer.Publish(t.Context(), stream.RevocationsSubject, []byte("the end")); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		m, err := s.live.NextMsg(wait)
		if err != nil {
			t.Fatal(err)
		}
		switch string(m.Data) {
		case "the end":
			if n == 0 {
				t.Error("the verifier was sent no honest delta")
			}
			return
		case "honest":
		default:
			t.Errorf("the verifier was sent %q", m.Data)
		}
	}
}

// onlyHonestAnnouncements fails where the verifier was sent anything before
// what the writer announces now.
func (s *scene) onlyHonestAnnouncements(t *testing.T) {
	t.Helper()
	if err := s.writer.Conn().Publish(stream.LiveAnnouncements, []byte("the end")); err != nil {
		t.Fatal(err)
	}
	if m, err := s.announced.NextMsg(wait); err != nil || string(m.Data) != "the end" {
		t.Errorf("the verifier was sent %v, %v", m, err)
	}
}

// An answer cannot acknowledge a message for the intake.
func TestAnswersAcknowledgeNothing(t *testing.T) {
	t.Parallel()
	for _, r := range []natsd.Role{issuer, verifier} {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, r)
			s.ask(t, questions(r)[0])
			c, err := natsdtest.JetStream(t, s.server, operator).Consumer(t.Context(), stream.IntakeStream, stream.AccessConsumer)
			if err != nil {
				t.Fatal(err)
			}
			m, err := c.Next(jetstream.FetchMaxWait(wait))
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range questions(r) {
				s.attack(t, q, m.Reply())
			}
			if info, err := c.Info(t.Context()); err != nil || info.NumAckPending != 1 || info.AckFloor.Stream != 0 {
				t.Errorf("consumer is at %+v, %v", info, err)
			}
		})
	}
}

// Who follows every inbox sees its own answers, and none of another account's.
func TestInboxesEndWithTheAccount(t *testing.T) {
	t.Parallel()
	for spy, spied := range map[natsd.Role]natsd.Role{issuer: verifier, verifier: issuer} {
		t.Run(string(spy), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, spied)
			nc := plain(t, s.server, spy)
			seen := follow(t, nc, "_INBOX.>")
			for _, q := range questions(spied) {
				s.ask(t, q)
			}
			s.write(t, stream.RevocationsSubject) // acknowledged to a role of the core
			own := nats.NewInbox()
			if err := nc.PublishRequest(questions(spy)[0].subject, own, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			m, err := seen.NextMsg(wait)
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject != own {
				t.Errorf("saw %q on %s, want its own answer alone", m.Data, m.Subject)
			}
		})
	}
}

// A client without any option of ours publishes with acknowledgement and
// without, and what is stored is what it sent.
func TestPlainClientsPublish(t *testing.T) {
	t.Parallel()
	for _, r := range []natsd.Role{issuer, verifier} {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, r)
			js, err := jetstream.New(s.attacker)
			if err != nil {
				t.Fatal(err)
			}
			subject := questions(r)[0].subject
			if err := s.attacker.Publish(subject, []byte("without")); err != nil {
				t.Fatal(err)
			}
			ack, err := js.Publish(t.Context(), subject, []byte("with"), jetstream.WithMsgID("one"))
			if err != nil || ack.Stream != stream.IntakeStream || ack.Sequence != 2 {
				t.Fatalf("acknowledgement %+v, %v", ack, err)
			}
			if ack, err = js.Publish(t.Context(), subject, []byte("with"), jetstream.WithMsgID("one")); err != nil || !ack.Duplicate {
				t.Fatalf("acknowledgement %+v, %v, want a duplicate", ack, err)
			}
			intake, err := s.operator.Stream(t.Context(), stream.IntakeStream)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []string{"without", "with"} {
				seq := uint64(i + 1)
				m, err := intake.GetMsg(t.Context(), seq)
				if err != nil || string(m.Data) != want || m.Subject != subject || m.Header.Get("Nats-Request-Info") != "" {
					t.Errorf("seq %d is %+v, %v", seq, m, err)
				}
			}
		})
	}
}

// A batched direct get has many answers to one request.
func TestVerifiersReadBatches(t *testing.T) {
	t.Parallel()
	s := newScene(t, verifier)
	for range 600 {
		s.write(t, stream.RevocationsSubject)
	}
	inbox := nats.NewInbox()
	sub := follow(t, s.attacker, inbox)
	body := fmt.Appendf(nil, `{"seq":1,"next_by_subj":%q,"batch":512}`, stream.RevocationsSubject)
	if err := s.attacker.PublishRequest("$JS.API.DIRECT.GET.RESCIND_REVOCATIONS", inbox, body); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		m, err := sub.NextMsg(wait)
		if err != nil {
			t.Fatalf("after %d messages: %v", n, err)
		}
		if m.Header.Get("Status") == "204" {
			if n != 512 {
				t.Errorf("%d messages in the batch, want 512", n)
			}
			return
		}
	}
}

// An account without JetStream would have the server refuse what was imported,
// beside the answer to it.
func TestVerifiersAreAnsweredOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, verifier)
	for _, q := range questions(verifier) {
		if strings.Contains(q.body, "batch") {
			continue
		}
		inbox := nats.NewInbox()
		sub := follow(t, s.attacker, inbox)
		if err := s.attacker.PublishRequest(q.subject, inbox, []byte(q.body)); err != nil {
			t.Fatal(err)
		}
		s.ask(t, q) // by then both would be there
		s.ask(t, questions(verifier)[0])
		if n, _, err := sub.Pending(); err != nil || n != 1 {
			t.Errorf("%s has %d answers, %v", q.subject, n, err)
		}
		if m, err := sub.NextMsg(wait); err != nil || strings.Contains(string(m.Data), "error") {
			t.Errorf("%s is answered %s, %v", q.subject, m.Data, err)
		}
	}
}
