package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootdir"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

// TestEpochsAreShownAsTheyAre takes a keyring through the life of an epoch.
func TestEpochsAreShownAsTheyAre(t *testing.T) {
	t.Parallel()
	const week, day = 7 * 24 * time.Hour, 24 * time.Hour
	folder := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := rootdir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	store, now, fail := new(sealtest.Memory), time.Unix(1_800_000_000, 0), true
	faulty := &sealtest.Fault{Store: store, Judge: func(method, _ string) sealtest.Verdict {
		if method == "replace" && fail {
			return sealtest.Fail
		}
		return sealtest.Pass
	}}
	keys, err := seal.NewKeyring(seal.Config{Store: faulty, Root: root, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	rotation, err := seal.NewRotation(seal.RotationConfig{
		Keyring: keys, Revisions: faulty, Share: 100, Logger: slog.New(slog.DiscardHandler),
		Lock: func(ctx context.Context) (context.Context, func(), error) { return ctx, func() {}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := func(residue time.Time, states ...string) (s KeyringStatus) {
		t.Helper()
		s, err := statusOf(t.Context(), keys, store)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range s.Epochs {
			got = append(got, e.State)
		}
		if d := cmp.Diff(states, got); d != "" {
			t.Fatal(d)
		}
		if !s.Residue.Equal(residue) {
			t.Fatalf("residue %v, want %v", s.Residue, residue)
		}
		return s
	}
	want(now)
	if _, err := keys.Tenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	want(now.Add(week+day), EpochCurrent)
	now = now.Add(week)
	if rotation.Turn(t.Context()) == nil {
		t.Fatal("the fault is not told")
	}
	if s := want(now.Add(week+day), EpochOver, EpochCurrent); s.Epochs[0].Entries != 2 {
		t.Errorf("%d entries are left, want 2", s.Epochs[0].Entries)
	}
	fail = false
	if err := rotation.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(now.Add(week+day), EpochEmpty, EpochCurrent)
	residue := now.Add(week + day)
	now = now.Add(day)
	if err := rotation.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := want(residue, EpochDestroyed, EpochCurrent); s.Epochs[0].Gone == nil || s.Epochs[0].Entries != 0 {
		t.Errorf("the first epoch: %+v", s.Epochs[0])
	}
}
