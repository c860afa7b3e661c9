package stream_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// A channel is stored, or sent on from what is, or asked on, or says that it is
// none of these.
func TestAsyncAPISaysWhatIsStored(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	asked := map[string]bool{}
	for _, o := range doc.Operations {
		name := strings.TrimPrefix(o.Channel.Ref, "#/channels/")
		asked[name] = asked[name] || o.Reply != nil
	}
	for name, c := range doc.Channels {
		reply, used := asked[name]
		if !used {
			t.Errorf("%s is used by no operation", name)
		}
		passing := c.Stored != nil && !*c.Stored
		if kept := c.Stream != "" || c.From != ""; kept == (reply || passing) || reply && passing {
			t.Errorf("%s: stored or republished %t, a request %t, x-stored: false %t: want one", name, kept, reply, passing)
		}
	}
}

// addressed is what the subjects of a channel look like. Types, names of entries
// and parts are of several tokens.
func addressed(address string) *regexp.Regexp {
	const dotted = `[^*>]+`
	pattern := regexp.QuoteMeta(address)
	for _, of := range []string{"type", "entry", "part"} {
		pattern = strings.ReplaceAll(pattern, `\{`+of+`\}`, dotted)
	}
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(pattern, `[^.*>]+`) + "$")
}

// storeOfEach has something stored by each of those who write to streams whose
// subjects are not those of one channel.
func (w world) storeOfEach(t *testing.T) {
	t.Helper()
	ctx, js := t.Context(), w.projector
	keys, err := stream.OpenKeyStore(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	var many []seal.Put
	for n := range 2 * stream.FewPuts {
		many = append(many, seal.Put{Key: fmt.Sprint("k.acme.", n), Value: []byte("x")})
	}
	release, err := stream.AcquireLock(ctx, js, "migrate", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	export := stream.ExportPlace{Tenant: "acme", Subject: events.Ref{1}, Export: events.Ref{2}}
	notice := stream.Notice{Tenant: "acme", Request: events.Ref{1}, Recipient: "crm"}
	held, out, exports := stream.NewHeld(w.api), stream.NewOutbox(w.api), stream.NewExports(w.api)
	for _, err := range []error{
		keys.Create(ctx, "y.1", many...),
		stream.Anchor(ctx, js, stream.LogStream),
		stream.NewMarks(js, "duplicates").Set(ctx, 0, 7),
		held.Put(ctx, stream.HeldPart{Tenant: "acme", Hold: events.Ref{1}, Subject: events.Ref{2}}, []byte("x")),
		out.Put(ctx, notice, []byte("x")),
		out.SetTried(ctx, notice, []byte("x")),
		exports.Put(ctx, export, stream.ExportChunk(0), []byte("x")),
		exports.Put(ctx, export, stream.ExportMade, []byte("x")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is in a stream is on a channel of it.
func TestAsyncAPIDescribesEverySubject(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.storeOfEach(t)
	doc, _ := document(t)
	stored := 0
	for info := range w.operator.ListStreams(t.Context()).Info() {
		s, err := w.operator.Stream(t.Context(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		for subject := range all.State.Subjects {
			stored++
			described := false
			for _, c := range doc.Channels {
				described = described || c.Stream == info.Config.Name && addressed(c.Address).MatchString(subject)
			}
			if !described {
				t.Errorf("%s of %s is on no channel", subject, info.Config.Name)
			}
		}
	}
	if stored < 2*stream.FewPuts+8 {
		t.Fatalf("%d subjects: this test sees nothing", stored)
	}
}

// What is put into the stream of locks and has no time to live is described as
// that.
func TestAsyncAPIDescribesWhatStaysBesideLocks(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.storeOfEach(t)
	doc, _ := document(t)
	s, err := w.operator.Stream(t.Context(), stream.LocksStream)
	if err != nil {
		t.Fatal(err)
	}
	names := doc.Channels["locks"].Parameters["name"].Description
	for message, of := range map[string]struct{ subject, name string }{
		"lock": {"migrate", "a name"}, "anchor": {stream.LogStream, stream.LogStream}, "mark": {"mark-duplicates-0", "mark-<name>-<shard>"},
	} {
		m, err := s.GetLastMsgForSubject(t.Context(), with(stream.LockSubjects, of.subject))
		if err != nil {
			t.Fatal(err)
		}
		described, there := doc.Components.Messages[message]
		goes := m.Header.Get(jetstream.MsgTTLHeader) != ""
		if !there || strings.Contains(described.Summary, jetstream.MsgTTLHeader) != goes || !strings.Contains(names, of.name) {
			t.Errorf("%s: there %t, with a time to live %t, described as %q among %q", message, there, goes, described.Summary, names)
		}
	}
}

// The names of the keyring's entries are those that package seal writes.
func TestAsyncAPIHasTheEntriesOfTheKeyring(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("../seal/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal("no sources:", err)
	}
	written := map[string]bool{}
	for _, path := range sources {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`"([a-z]\.[a-z]*)"`).FindAllStringSubmatch(string(source), -1) {
			written[m[1]] = true
		}
	}
	doc, _ := document(t)
	about := doc.Channels["keyring"].Parameters["entry"].Description
	described := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b([a-z]\.[a-z]*)(?:<[^ ]*>)?`).FindAllStringSubmatch(about, -1) {
		described[m[1]] = true
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(described))); d != "" {
		t.Error(d)
	}
	if few := fmt.Sprintf("up to %d", stream.FewPuts); !strings.Contains(about, few) {
		t.Errorf("it does not say that %s are written without a batch", few)
	}
}
