package natsd_test

import (
	"errors"
	"fmt"
	"slices"
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

// right is one thing that a client may try to do, and who may.
type right struct {
	publish   string
	subscribe string
	roles     []natsd.Role
}

const (
	operator  = natsd.Operator
	projector = natsd.Projector
	api       = natsd.API
	issuer    = natsd.Issuer
	verifier  = natsd.Verifier
	auditor   = natsd.Auditor
)

func pub(subject string, roles ...natsd.Role) right { return right{publish: subject, roles: roles} }
func sub(subject string, roles ...natsd.Role) right { return right{subscribe: subject, roles: roles} }

// rights is the whole table: every other role is denied.
func rights() []right {
	table := append(jetStreamRights(), subjectRights()...)
	for _, r := range natsd.Roles() {
		table = append(table, sub(natsd.InboxPrefix(r)+".>", r))
	}
	for _, typ := range events.Types() {
		table = append(table, pub(stream.EventSubject("acme", typ), publishersOf(typ)...))
		table = append(table, pub(stream.ServiceSubject("acme", typ), servicesOf(typ)...))
	}
	return table
}

// jetStreamRights is who may ask what of JetStream.
func jetStreamRights() []right {
	table := []right{
		pub("$JS.ACK.RESCIND_INTAKE.intake-control.1.1.1.1.0", projector),
		pub("$JS.ACK._.acc.RESCIND_INTAKE.intake-control.1.1.1.1.0.x", projector),
		pub("$JS.ACK.RESCIND_LOG.x.1.1.1.1.0", projector, api),
		pub("$JS.API.INFO", operator),
		pub("$JS.API.STREAM.LIST", operator),
		pub("$JS.API.CONSUMER.MSG.NEXT.RESCIND_INTAKE.intake-control", operator, projector),
		pub("$JS.API.CONSUMER.RESET.RESCIND_INTAKE.intake-control", operator, projector),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_INTAKE.x", operator),
		pub("$JS.API.CONSUMER.DELETE.RESCIND_INTAKE.intake-control", operator),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_LOG.x", operator, projector, api),
		pub("$JS.API.CONSUMER.MSG.NEXT.RESCIND_LOG.x", operator, projector, api),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_KEYRING.x", operator),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_REVOCATIONS.x", operator),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_QUARANTINE.x", operator),
		pub("$JS.API.CONSUMER.CREATE.OBJ_RESCIND_SNAPSHOTS.x", operator, projector),
		pub("$JS.API.STREAM.MSG.DELETE.RESCIND_INTAKE", operator, projector),
		pub("$JS.API.STREAM.MSG.GET.RESCIND_INTAKE", operator, projector),
		pub("$JS.API.STREAM.MSG.GET.RESCIND_LOG", operator, projector, api),
		pub("$JS.API.STREAM.MSG.GET.RESCIND_KEYRING", operator, projector, api),
		pub("$JS.API.STREAM.MSG.GET.RESCIND_QUARANTINE", operator, projector, api),
		pub("$JS.API.DIRECT.GET.RESCIND_LOG", operator, projector, api, auditor),
		pub("$JS.API.DIRECT.GET.RESCIND_KEYRING.rescind.keyring.t.acme", operator, projector, api),
		pub("$JS.API.DIRECT.GET.RESCIND_QUARANTINE", operator, projector, api),
		pub("$JS.API.DIRECT.GET.RESCIND_REVOCATIONS", operator, projector, api, verifier, auditor),
		pub("$JS.API.DIRECT.GET.RESCIND_REVOCATIONS.rescind.revocations", operator, projector, api, verifier, auditor),
		pub("$JS.API.DIRECT.GET.OBJ_RESCIND_SNAPSHOTS", operator, projector, api, verifier, auditor),
		pub("$JS.API.DIRECT.GET.OBJ_RESCIND_SNAPSHOTS.$O.RESCIND_SNAPSHOTS.M.x", operator, projector, api, verifier, auditor),
		pub("$JS.API.STREAM.INFO.RESCIND_REVOCATIONS", operator, projector, api, verifier, auditor),
		pub("$JS.API.STREAM.INFO.OBJ_RESCIND_SNAPSHOTS", operator, projector, api, verifier, auditor),
		pub("$JS.API.STREAM.INFO.RESCIND_LOG", operator, projector, api, auditor),
		pub("$JS.API.STREAM.INFO.RESCIND_KEYRING", operator, projector, api),
		pub("$JS.API.STREAM.MSG.DELETE.RESCIND_KEYRING", operator, projector, api),
		pub("$JS.API.STREAM.MSG.DELETE.RESCIND_QUARANTINE", operator),
		pub("$JS.API.STREAM.MSG.DELETE.RESCIND_LOCKS", operator, projector, api),
		pub("$JS.API.STREAM.MSG.DELETE.OBJ_RESCIND_SNAPSHOTS", operator, projector),
		pub("$JS.API.STREAM.PURGE.OBJ_RESCIND_SNAPSHOTS", operator, projector),
		pub("$JS.API.STREAM.PURGE.RESCIND_INTAKE", operator, projector),
		pub("$JS.API.STREAM.PURGE.RESCIND_HELD", operator, api),
		pub("$JS.API.STREAM.INFO.RESCIND_HELD", operator, api),
		pub("$JS.API.STREAM.MSG.GET.RESCIND_HELD", operator, api),
		pub("$JS.API.STREAM.MSG.DELETE.RESCIND_HELD", operator),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_HELD.x", operator),
		pub("$JS.API.STREAM.PURGE.RESCIND_EXPORTS", operator, api),
		pub("$JS.API.STREAM.INFO.RESCIND_EXPORTS", operator, api),
		pub("$JS.API.STREAM.MSG.GET.RESCIND_EXPORTS", operator, api),
		pub("$JS.API.DIRECT.GET.RESCIND_EXPORTS", operator),
		pub("$JS.API.STREAM.MSG.DELETE.RESCIND_EXPORTS", operator),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_EXPORTS.x", operator),
		pub("$JS.API.STREAM.INFO.RESCIND_VERIFIERS", operator, api),
		pub("$JS.API.DIRECT.GET.RESCIND_VERIFIERS", operator, api),
		pub("$JS.API.STREAM.MSG.DELETE.RESCIND_VERIFIERS", operator),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_VERIFIERS.x", operator),
	}
	for _, verb := range []string{"CREATE", "UPDATE", "DELETE", "SNAPSHOT", "RESTORE"} {
		for _, s := range []string{stream.LogStream, stream.IntakeStream, stream.KeyringStream, stream.RevocationsStream} {
			table = append(table, pub("$JS.API.STREAM."+verb+"."+s, operator))
		}
	}
	for _, s := range []string{stream.LogStream, stream.KeyringStream, stream.RevocationsStream} {
		table = append(table, pub("$JS.API.STREAM.PURGE."+s, operator))
	}
	return table
}

// subjectRights is who may publish and subscribe to what, but for events of
// known types and inboxes.
func subjectRights() []right {
	return []right{
		pub("rescind.events.acme.token.invented", api),
		pub("rescind.events.acme", api),
		pub("rescind.log.control", projector),
		pub("rescind.log.access", projector),
		pub("rescind.log.other"),
		pub("rescind.revocations", projector),
		pub("rescind.live.revocations"),
		pub("rescind.live.announced", projector),
		pub("rescind.live.erased.acme.00ff"),
		pub("rescind.keyring.t.acme", projector),
		pub("rescind.keyring.k.acme.00ff", projector, api),
		pub("rescind.keyring.s.acme.00ff", projector, api),
		pub("rescind.keyring.g.acme.00ff.2", projector, api),
		pub("rescind.keyring.h.acme.00ff", projector, api),
		pub("rescind.keyring.r.acme.00ff", projector, api),
		pub("rescind.keyring.v.1", projector, api),
		pub("rescind.keyring.f.acme.1", projector),
		pub("rescind.held.acme.00ff.00ff.0.1", api),
		pub("rescind.exports.acme.00ff.00ff.b.0", api),
		pub("rescind.keyring.e.acme.00ff", projector, api),
		pub("rescind.keyring.d.acme.00ff", projector, api),
		pub("rescind.keyring.x.2", projector),
		pub("rescind.keyring-guard", projector, api),
		pub("rescind.live.evict.h1", projector, api),
		pub("rescind.live.evict.h1.more"),
		sub("rescind.live.evict.h1", projector, api),
		pub("rescind.quarantine.00ff", projector, api),
		pub("rescind.quarantine.replayed.00ff", api),
		pub("rescind.lock.migrate", projector, api),
		pub("rescind.verifiers.v1", verifier),
		pub("rescind.verifiers.v1.more"),
		pub("rescind.live.verifiers.v1", verifier),
		pub("rescind.setup.intake"),
		pub("rescind.feed.keys", projector, api, verifier),
		pub("rescind.intake.keys", api, issuer, verifier),
		pub("$O.RESCIND_SNAPSHOTS.C.1", projector),
		pub("$O.OTHER.C.1"),
		pub("_INBOX.x"),
		pub("$SYS.REQ.SERVER.PING"),
		sub("rescind.>"),
		sub("rescind.events.>"),
		sub("rescind.log.>"),
		sub("rescind.keyring.>"),
		sub("rescind.quarantine.>"),
		sub("rescind.revocations"),
		sub("rescind.feed.keys", projector),
		sub("rescind.intake.keys", projector),
		sub("rescind.live.revocations", projector, api, verifier),
		sub("rescind.live.announced", projector, api, verifier),
		sub("rescind.live.erased.>", projector, api),
		sub("rescind.live.verifiers.*", api),
		sub("rescind.verifiers.*"),
		sub("$JS.>"),
		sub("$O.>"),
		sub("$SYS.>"),
		sub("_INBOX.>", issuer, verifier),
		sub(">"),
	}
}

// publishersOf is who may publish events of type typ.
func publishersOf(typ events.Type) []natsd.Role {
	switch category, _, _ := strings.Cut(typ.Name(), "."); {
	case typ == events.TokenVerified, typ == events.TokenRejected:
		return []natsd.Role{api, verifier}
	case slices.Contains([]string{"system", "request", "hold", "audit", "finding", "revocation"}, category):
		return []natsd.Role{api}
	default:
		return []natsd.Role{api, issuer}
	}
}

// servicesOf is who publishes typ in our own name.
func servicesOf(typ events.Type) []natsd.Role {
	if strings.HasPrefix(typ.Name(), "system.") || slices.Contains([]events.Type{events.FindingOpened, events.RevocationRestored, events.RequestReapplied}, typ) {
		return []natsd.Role{api, projector}
	}
	return []natsd.Role{api}
}

// Every right of the table is tried by every role on a server without streams,
// so that nothing but the permission decides.
func TestRolesMayDoWhatTheTableSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	s, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natsdtest.Stop(t, s) })
	for _, role := range natsd.Roles() {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			c := newClient(t, s, role)
			for _, r := range rights() {
				want := slices.Contains(r.roles, role)
				if got := c.allowed(t, r); got != want {
					t.Errorf("publish %q subscribe %q: allowed %v, want %v", r.publish, r.subscribe, got, want)
				}
			}
		})
	}
}

// With several shards the same roles reach their logs, and no more of them than
// there are.
func TestRolesReachTheLogsOfEveryShard(t *testing.T) {
	t.Parallel()
	s, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Shards: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natsdtest.Stop(t, s) })
	table := []right{
		pub("rescind.log.2.control", projector), pub("rescind.log.2.access", projector), pub("rescind.log.2.other"),
		pub("rescind.log.3.control"), pub("rescind.intake.2.acme.token.issued"),
		pub("$JS.API.STREAM.INFO.RESCIND_LOG_2", operator, projector, api, auditor),
		pub("$JS.API.DIRECT.GET.RESCIND_LOG_2", operator, projector, api, auditor),
		pub("$JS.API.DIRECT.GET.RESCIND_LOG_3", operator),
		pub("$JS.API.STREAM.MSG.GET.RESCIND_LOG_2", operator, projector, api),
		pub("$JS.API.CONSUMER.CREATE.RESCIND_LOG_2.x", operator, projector, api),
		pub("$JS.API.CONSUMER.MSG.NEXT.RESCIND_LOG_2.x", operator, projector, api),
		pub("$JS.API.CONSUMER.MSG.NEXT.RESCIND_INTAKE.intake-control-2", operator, projector),
		pub("$JS.API.STREAM.INFO.RESCIND_LOG_3", operator),
		pub("$JS.API.STREAM.PURGE.RESCIND_LOG_2", operator),
		sub("rescind.intake.>"),
	}
	for _, role := range natsd.Roles() {
		c := newClient(t, s, role)
		for _, r := range append(table, rights()...) {
			want := slices.Contains(r.roles, role)
			if got := c.allowed(t, r); got != want {
				t.Errorf("%s: publish %q subscribe %q: allowed %v, want %v", role, r.publish, r.subscribe, got, want)
			}
		}
	}
}

// client knows what the server denied it.
type client struct {
	*nats.Conn
	denied chan error
	last   error
}

func newClient(t *testing.T, s *natsd.Server, role natsd.Role) *client {
	t.Helper()
	c := &client{denied: make(chan error, 100)}
	nc, err := s.Connect(role, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c.Conn = nc
	return c
}

// allowed tries r. The server answers in order: a denial comes before the
// answer to the flush.
func (c *client) allowed(t *testing.T, r right) bool {
	t.Helper()
	var sub *nats.Subscription
	var err error
	if r.publish != "" {
		err = c.Publish(r.publish, nil)
	} else {
		sub, err = c.SubscribeSync(r.subscribe)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.FlushTimeout(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if sub != nil {
		defer sub.Unsubscribe() //nolint:errcheck // a denied subscription is gone already
	}
	if c.LastError() == c.last { // not by its text: a mapped subject is denied by the name it is mapped to
		return true
	}
	c.last = c.LastError()
	if err := <-c.denied; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatal(err)
	}
	return false
}

// What the rooms do with their role's rights works on the real streams.
func TestRolesCanDoTheirWork(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	issuing := natsdtest.JetStream(t, s, issuer)
	if _, err := issuing.Publish(t.Context(), stream.EventSubject("acme", events.KeyPublished), []byte("{}")); err != nil {
		t.Errorf("issuer publishes: %v", err)
	}
	feeding := natsdtest.JetStream(t, s, projector)
	if _, err := feeding.Publish(t.Context(), stream.RevocationsSubject, []byte("delta"), jetstream.WithExpectLastSequence(0)); err != nil {
		t.Errorf("projector publishes a delta: %v", err)
	}
	bucket, err := feeding.ObjectStore(t.Context(), stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // the second purges the chunks of the first
		if _, err := bucket.PutBytes(t.Context(), "snapshot", fmt.Append(nil, i)); err != nil {
			t.Errorf("projector stores snapshot %d: %v", i, err)
		}
	}
	verifying := natsdtest.JetStream(t, s, verifier)
	revocations, err := verifying.Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := revocations.GetMsg(t.Context(), 1); err != nil || string(m.Data) != "delta" {
		t.Errorf("verifier reads a delta: %v", err)
	}
	objects, err := verifying.Stream(t.Context(), "OBJ_"+stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	last := objects.CachedInfo().State.LastSeq
	if _, err := objects.GetMsg(t.Context(), last); err != nil {
		t.Errorf("verifier reads a snapshot's message: %v", err)
	}
}

// Whoever publishes asks for the intake's keys, a verifier for feed keys, and
// gets an answer; nobody can answer unasked.
func TestKeysAreAskedAndAnswered(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	answering := natsdtest.Connect(t, s, projector)
	for subject, roles := range map[string][]natsd.Role{
		stream.FeedKeysSubject: {verifier, api}, stream.IntakeKeysSubject: {issuer, verifier, api},
	} {
		sub, err := answering.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte("keys")) })
		if err != nil {
			t.Fatal(err)
		}
		if err := answering.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, r := range roles {
			m, err := natsdtest.Connect(t, s, r).Request(subject, nil, 20*time.Second)
			if err != nil || string(m.Data) != "keys" {
				t.Errorf("%s of %s: %v", r, subject, err)
			}
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	}
}
