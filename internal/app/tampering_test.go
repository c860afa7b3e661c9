package app_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootdir"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestTamperingOpensAFinding damages a person's key before an intake meets it.
func TestTamperingOpensAFinding(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := natsdtest.JetStream(t, s.nats, natsd.Projector)
	if err := stream.Ensure(t.Context(), natsdtest.JetStream(t, s.nats, natsd.Operator), stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	store, err := stream.OpenKeyStore(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	root, err := rootdir.Open(s.keys.Root())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.NewKeyring(seal.Config{Store: store, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Subjects(t.Context(), []seal.Person{{Tenant: "acme", Issuer: "i", Subject: "u"}}); err != nil {
		t.Fatal(err)
	}
	names, err := store.List(t.Context(), "k.acme.")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	got, err := store.Get(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	damaged := got[names[0]]
	damaged[len(damaged)-1] ^= 1
	if _, err := js.Publish(t.Context(), strings.TrimSuffix(stream.KeyringSubjects, ">")+names[0], damaged); err != nil {
		t.Fatal(err)
	}
	run(t, s.config(config.RoleIntake))
	publishOne(t, s, "e-1")
	log, err := stream.OpenLog(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the finding is on the log", func() (bool, error) {
		last, err := log.Last(t.Context())
		if err != nil {
			return false, err
		}
		for seq := last.Seq; seq > 0; seq-- {
			m, err := log.Get(t.Context(), seq)
			if err != nil {
				return false, err
			}
			if bytes.Contains(m.Data, []byte("keyring-tampered")) {
				return bytes.Contains(m.Data, []byte(seal.EntryDamaged)), nil
			}
		}
		return false, nil
	})
}
