package forgotten

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/canary"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/revocation/guard"
)

// rounds is how often a property is tried: each writes to a disk that is synced.
const rounds = "20"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", rounds); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(enginetest.M{M: m})
}

// facts are what was observed in the story.
type facts struct {
	dir      string
	everyone []person

	trail map[string]client.Trail              // of the one who is forgotten first, opened: by moment
	hits  map[string][]canary.Hit              // of their values: by moment
	shown []canary.Hit                         // of what is stored in clear, by the same search
	guess []canary.Match                       // of candidates, in all that is stored and was answered
	bytes int                                  // that the guesses were tried on
	token map[string]map[string][]guard.Reason // why verifiers refuse their tokens: by moment and policy
	proof map[string]*verify.Report            // by who was forgotten
	log   map[string][]string                  // digests of the log's messages: by moment
	count map[string]string                    // aggregate counts of what there was before anybody was forgotten
	parts map[string]uint64                    // sealed parts of theirs in ClickHouse: by moment
	ref   string                               // theirs
	refs  [2]string                            // of one person at two tenants
	after client.Trail                         // what is found by their name
	first uint64                               // index behind what there was before anybody was forgotten
	ask   client.Request
	kept  client.Request // while a hold kept a part
}

// hashed is somebody of whom a publisher says the hash of their address in clear,
// as it must not: what the attack has to find.
var hashed = person{tenant: globex, subject: candidate(424_242), id: "hashed", jti: "jti-hashed", sid: "sid-hashed"}

const hundred = 100

var told struct {
	once  sync.Once
	facts *facts
}

// story is what was observed; it is played by who asks first.
func story(t *testing.T) *facts {
	t.Helper()
	told.once.Do(func() {
		f := &facts{
			dir: t.TempDir(), everyone: append(people(acme, hundred+5), people(globex, 10)...), trail: map[string]client.Trail{}, hits: map[string][]canary.Hit{},
			token: map[string]map[string][]guard.Reason{}, proof: map[string]*verify.Report{}, log: map[string][]string{}, count: map[string]string{}, parts: map[string]uint64{},
		}
		f.play(t)
		told.facts = f
	})
	if told.facts == nil {
		t.Fatal("the story did not come to its end")
	}
	return told.facts
}

// play is the story.
func (f *facts) play(t *testing.T) {
	k := zebedee()
	tokens := issue(t, k)
	began := time.Now()
	step := func(what string) { t.Logf("%6.1f s: %s", time.Since(began).Seconds(), what) }
	s := f.start(t)
	step("started")
	tell := teller{t, s.File}
	f.meet(t, s, tell, k)
	guards := tokens.verifier(t, s, f.dir)
	step("met")
	tell.access(k, filepath.Join(f.dir, "answers", "export"))
	f.observe(t, s, tell, k, "before")
	f.token["before"] = tokens.refusals(t, guards, guard.ReasonRevoked, "")
	old := f.backedUp(t, s)
	step("backed up")

	hold := tell.hold(k)
	f.ask = tell.forget(k.person)[0]
	f.kept = tell.until(f.ask, "partial")
	f.token["erased"] = tokens.refusals(t, guards, guard.ReasonRevoked, guard.ReasonRevoked)
	f.observe(t, s, tell, k, "held")
	step("one is forgotten")
	old.restored(t, f.ref, f.first)
	f.observe(t, s, tell, k, "restored")
	step("restored")

	s, guards = f.restart(t, s, tokens)
	tell.file = s.File
	step("restarted")
	f.token["restarted"] = tokens.refusals(t, guards, guard.ReasonRevoked, guard.ReasonRevoked)
	tell.post("approver", "/v1/holds/"+hold+"/release", map[string]string{"reason": "settled"}, nil)
	f.ask = tell.until(f.ask, "completed")
	f.observe(t, s, tell, k, "released")
	f.verify(t, "one")
	step("released")

	tell.completed(tell.forget(f.everyone[:hundred]...))
	f.verify(t, "hundred")
	step("a hundred")
	tell.completed(tell.forget(append(f.everyone[hundred:], hashed)...))
	f.verify(t, "everybody")
	step("everybody")
	f.rebuild(t)
	f.token["rebuilt"] = tokens.refusals(t, guards, guard.ReasonRevoked, guard.ReasonRevoked)
	f.observe(t, s, tell, k, "rebuilt")
	step("rebuilt")
	f.search(t, s, tell, k)
	step("searched")
}

// start starts the stack in its folder, with all its logs.
func (f *facts) start(t *testing.T) *dev.Stack {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(f.dir, "rescind.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return devtest.Start(t, dev.Options{Dir: f.dir, Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
}

// restart stops everything and starts it again, and a verifier with what it kept.
func (f *facts) restart(t *testing.T, s *dev.Stack, tokens held) (*dev.Stack, map[string]*guard.Guard) {
	t.Helper()
	devtest.Stop(t, s)
	s = f.start(t)
	return s, tokens.verifier(t, s, f.dir)
}

// meet tells of everybody, and waits until all of it can be queried.
func (f *facts) meet(t *testing.T, s *dev.Stack, tell teller, k known) {
	t.Helper()
	var evs []events.Event
	for _, p := range f.everyone {
		evs = append(evs, p.events()...)
	}
	wrong := hashed.events()
	sum := sha256.Sum256([]byte(hashed.subject))
	wrong[0].Data.Attributes = map[string]string{"user_hash": hex.EncodeToString(sum[:])}
	devtest.Publish(t, s, append(evs, wrong...))
	tell.allOf(k)
	devtest.Drained(t, s)
	f.verify(t, "nobody") // which waits until all of it is in the tables
	for i, tenant := range []string{acme, globex} {
		trail, err := tell.trail(known{person: person{tenant: tenant, subject: people(tenant, 1)[0].subject}}, "")
		if err != nil || len(trail.Events) == 0 {
			t.Fatal(trail, err)
		}
		f.refs[i] = trail.Events[0].SubjectRef
	}
}

// search looks at all that is there at the end, answers of the API among it.
func (f *facts) search(t *testing.T, s *dev.Stack, tell teller, k known) {
	t.Helper()
	var err error
	if f.after, err = tell.trail(k, ""); err != nil {
		t.Fatal(err)
	}
	tell.export(k, f.ask, f.ref, filepath.Join(f.dir, "answers"))
	if f.hits["everything"], err = canary.Scan(f.dir, k.values()...); err != nil {
		t.Fatal(err)
	}
	if f.shown, err = canary.Scan(f.dir, "orders:read"); err != nil {
		t.Fatal(err)
	}
	c, err := canary.Read(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	f.bytes = c.Bytes()
	f.guess = append(c.Attack(acme, issuer, guesses, f.guesser()), c.Attack(globex, issuer, len(f.everyone), f.guesser())...)
	devtest.Stop(t, s)
	if f.hits["stopped"], err = canary.Scan(f.dir, k.values()...); err != nil {
		t.Fatal(err)
	}
}

// guesses is how many candidates the attack tries here. rescind bench forget tries
// a million.
const guesses = 10_000

// guesser guesses everybody that there is, and many others.
func (f *facts) guesser() func(int) string {
	those := []string{hashed.subject, zebedee().subject}
	for _, p := range f.everyone {
		those = append(those, p.subject)
	}
	return func(i int) string {
		if i < len(those) {
			return those[i]
		}
		return candidate(i * 37 % candidates)
	}
}
