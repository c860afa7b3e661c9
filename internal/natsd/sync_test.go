package natsd

import (
	"testing"
	"time"
)

// What is acknowledged is on the disk, unless the operator chose otherwise.
func TestEveryWriteIsSyncedByDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		every  time.Duration
		always bool
	}{{0, true}, {time.Minute, false}} {
		s, err := Start(t.Context(), Config{Dir: t.TempDir(), SyncEvery: c.every})
		if err != nil {
			t.Fatal(err)
		}
		js := s.ns.JetStreamConfig()
		if js.SyncAlways != c.always || !c.always && js.SyncInterval != c.every {
			t.Errorf("sync every %s: always %v, interval %s", c.every, js.SyncAlways, js.SyncInterval)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
