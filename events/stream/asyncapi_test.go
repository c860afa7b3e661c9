package stream_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/schemas"
)

// asyncapi is the part of the description that these tests hold to the code.
type asyncapi struct {
	Channels map[string]struct {
		Address    string
		Stream     string `json:"x-stream"`
		From       string `json:"x-republished-from"`
		Stored     *bool  `json:"x-stored"`
		Parameters map[string]struct {
			Ref         string `json:"$ref"`
			Enum        []string
			Description string
		}
		Messages map[string]struct {
			Ref string `json:"$ref"`
		}
	}
	Operations map[string]struct {
		Channel struct {
			Ref string `json:"$ref"`
		}
		Reply map[string]any
	}
	Components struct {
		Messages map[string]struct{ ContentType, Summary string }
	}
}

func document(t *testing.T) (doc asyncapi, whole map[string]any) {
	t.Helper()
	data, err := fs.ReadFile(schemas.FS, "asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	whole, err = yaml.Parser().Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON, &doc); err != nil {
		t.Fatal(err)
	}
	return doc, whole
}

// with fills in the last token of a subject that the code names with a
// wildcard.
func with(subjects, parameter string) string {
	return strings.TrimRight(subjects, "*>") + parameter
}

func TestAsyncAPIHasTheChannelsOfTheCode(t *testing.T) {
	t.Parallel()
	const objects = "OBJ_" + stream.SnapshotBucket
	want := map[string][2]string{ // address, stream
		"events":          {with(stream.EventSubjects, "{tenant}.{type}"), stream.IntakeStream},
		"ownEvents":       {with(stream.EventSubjects, "{tenant}.{type}") + ".service", stream.IntakeStream},
		"log":             {with(stream.LogSubjects, "{lane}"), stream.LogStream},
		"quarantine":      {with(stream.QuarantineSubjects, "{entry}"), stream.QuarantineStream},
		"replayed":        {with(stream.ReplayedSubjects, "{entry}"), stream.QuarantineStream},
		"revocations":     {stream.RevocationsSubject, stream.RevocationsStream},
		"liveRevocations": {stream.LiveRevocations, ""},
		"announcements":   {stream.LiveAnnouncements, ""},
		"keyring":         {with(stream.KeyringSubjects, "{entry}"), stream.KeyringStream},
		"held":            {with(stream.HeldSubjects, "{tenant}.{hold}.{subject}.{shard}.{index}"), stream.HeldStream},
		"keyringGuard":    {stream.KeyringGuard, stream.KeyringStream},
		"notices":         {with(stream.HeldSubjects, "{tenant}.{request}.notice.{recipient}"), stream.HeldStream},
		"noticesTried":    {with(stream.HeldSubjects, "{tenant}.{request}.tried.{recipient}"), stream.HeldStream},
		"exports":         {with(stream.ExportSubjects, "{tenant}.{subject}.{export}.{part}"), stream.ExportsStream},
		"liveErasures":    {stream.LiveErasures + ".{tenant}.{handle}", ""},
		"intakeKeys":      {stream.IntakeKeysSubject, ""},
		"liveEvictions":   {stream.LiveEvictions + ".{holder}", ""},
		"feedKeys":        {stream.FeedKeysSubject, ""},
		"snapshots":       {"$O." + stream.SnapshotBucket + ".M.{object}", objects},
		"snapshotChunks":  {"$O." + stream.SnapshotBucket + ".C.{upload}", objects},
		"locks":           {with(stream.LockSubjects, "{name}"), stream.LocksStream},
		"verifiers":       {stream.VerifierSubject("{verifier}"), stream.VerifiersStream},
		"liveVerifiers":   {stream.LiveVerifier("{verifier}"), ""},
	}
	doc, _ := document(t)
	got := map[string][2]string{}
	for name, c := range doc.Channels {
		got[name] = [2]string{c.Address, c.Stream}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Every stream of the server is described, and stores or republishes what its
// channels say.
func TestAsyncAPIHasTheStreamsOfTheServer(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	subjects, republished := map[string]bool{}, map[string]string{}
	for _, c := range doc.Channels {
		subjects[c.Stream] = true
		if c.From != "" {
			republished[c.From] = c.Address
		}
	}
	for info := range start(t).operator.ListStreams(t.Context()).Info() {
		cfg := info.Config
		if !subjects[cfg.Name] {
			t.Errorf("stream %s is not described", cfg.Name)
		}
		for _, c := range doc.Channels {
			if c.Stream == cfg.Name && !slices.ContainsFunc(cfg.Subjects, func(s string) bool { return matches(s, c.Address) }) {
				t.Errorf("stream %s does not store %s", cfg.Name, c.Address)
			}
		}
		checkRepublish(t, cfg, republished)
	}
}

func checkRepublish(t *testing.T, cfg jetstream.StreamConfig, republished map[string]string) {
	t.Helper()
	address, described := republished[cfg.Name]
	switch {
	case described != (cfg.RePublish != nil):
		t.Errorf("stream %s republishes: %v, described: %v", cfg.Name, cfg.RePublish != nil, described)
	case described && !matches(cfg.RePublish.Destination, address):
		t.Errorf("stream %s republishes to %s, described as %s", cfg.Name, cfg.RePublish.Destination, address)
	}
}

// matches reports whether filter matches addresses such as the given one.
func matches(filter, address string) bool {
	pattern := regexp.QuoteMeta(filter)
	pattern = strings.ReplaceAll(pattern, `\*`, `[^.]+`)
	pattern = strings.ReplaceAll(pattern, `>`, `.+`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(address)
}

func TestAsyncAPIHasTheParametersOfItsAddresses(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	for name, c := range doc.Channels {
		var in []string
		for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(c.Address, -1) {
			in = append(in, m[1])
		}
		slices.Sort(in)
		if d := cmp.Diff(in, slices.Sorted(maps.Keys(c.Parameters))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	var names []string
	for _, typ := range events.Types() {
		names = append(names, typ.Name())
	}
	if d := cmp.Diff(names, doc.Channels["events"].Parameters["type"].Enum); d != "" {
		t.Errorf("types: %s", d)
	}
	if d := cmp.Diff([]string{string(events.Control), string(events.Access)}, doc.Channels["log"].Parameters["lane"].Enum); d != "" {
		t.Errorf("lanes: %s", d)
	}
}

// Every message belongs to a channel, every reference leads somewhere, and the
// events' content types are those that Decode reads.
func TestAsyncAPIHasNoLooseEnds(t *testing.T) {
	t.Parallel()
	doc, whole := document(t)
	used := map[string]bool{}
	for _, c := range doc.Channels {
		for _, m := range c.Messages {
			used[strings.TrimPrefix(m.Ref, "#/components/messages/")] = true
		}
	}
	for name := range doc.Components.Messages {
		if !used[name] {
			t.Errorf("message %s is on no channel", name)
		}
	}
	walkRefs(whole, func(ref string) {
		if err := resolve(whole, ref); err != nil {
			t.Error(err)
		}
	})
	for name, want := range map[string]string{
		"event": events.ContentTypeEvent, "eventBatch": events.ContentTypeBatch,
		"eventProtobuf": events.ContentTypeProtobuf, "eventProtobufBatch": events.ContentTypeProtobufBatch, "eventBinary": events.ContentTypeJSON,
		"quarantined": stream.ContentTypeQuarantined,
	} {
		if got := doc.Components.Messages[name].ContentType; got != want {
			t.Errorf("message %s: content type %s, want %s", name, got, want)
		}
	}
}

func walkRefs(v any, yield func(string)) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			yield(ref)
		}
		for _, child := range v {
			walkRefs(child, yield)
		}
	case []any:
		for _, child := range v {
			walkRefs(child, yield)
		}
	}
}

func resolve(whole map[string]any, ref string) error {
	if file, ok := strings.CutPrefix(ref, "./"); ok {
		_, err := fs.Stat(schemas.FS, file)
		return err
	}
	var at any = whole
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := at.(map[string]any)
		if !ok || m[name] == nil {
			return fmt.Errorf("reference %s leads nowhere", ref)
		}
		at = m[name]
	}
	return nil
}

// The description of a quarantined event has the members that are written.
func TestAsyncAPIDescribesQuarantinedEvents(t *testing.T) {
	t.Parallel()
	written, err := json.Marshal(refused(1))
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(written, &members); err != nil {
		t.Fatal(err)
	}
	_, whole := document(t)
	at := any(whole)
	for _, name := range []string{"components", "messages", "quarantined", "payload", "properties"} {
		at = at.(map[string]any)[name]
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(at.(map[string]any))), slices.Sorted(maps.Keys(members))); d != "" {
		t.Error(d)
	}
}

// The description of a receipt has the members that are written.
func TestAsyncAPIDescribesReceipts(t *testing.T) {
	t.Parallel()
	r := revocation.Receipt{ID: "v", Name: "n", Instance: "i", Feed: 1, Seq: 1, Places: []revocation.Reached{{Epoch: 1, Position: 1}}, Doubt: revocation.CauseGap}
	written, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(written, &members); err != nil {
		t.Fatal(err)
	}
	_, whole := document(t)
	at := any(whole)
	for _, name := range []string{"components", "messages", "receipt", "payload", "properties"} {
		at = at.(map[string]any)[name]
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(at.(map[string]any))), slices.Sorted(maps.Keys(members))); d != "" {
		t.Error(d)
	}
}
