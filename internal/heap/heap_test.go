package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
)

const mib = 1 << 20

func TestPercentAimsAtTheGoal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		alive uint64
		want  int
	}{{0, most}, {1, most}, {64 * mib, most}, {80 * mib, 300}, {160 * mib, 100}, {200 * mib, 60}, {300 * mib, least}, {Goal, least}, {10 * Goal, least}} {
		if got := percent(c.alive, Goal); got != c.want {
			t.Errorf("%d MiB alive: %d %%, want %d", c.alive/mib, got, c.want)
		}
	}
}

// percentNow is the collector's percentage.
func percentNow() int {
	now := debug.SetGCPercent(100)
	debug.SetGCPercent(now)
	return now
}

func TestKeepFollowsWhatIsAlive(t *testing.T) {
	before := percentNow()
	stop := Keep(func(string) string { return "" }, Goal)
	if got := percentNow(); got != most {
		t.Errorf("%d %% at first, want %d", got, most)
	}
	stop()
	if got := percentNow(); got != before {
		t.Errorf("%d %% after stop, want %d as before", got, before)
	}

	held := make([]byte, 200*mib)
	runtime.GC()
	k := keeper{goal: Goal, set: most}
	k.adjust(alive())
	if got := percentNow(); got < least || got > 60 {
		t.Errorf("%d %% with 200 MiB alive, want about 60", got)
	}
	set := k.set
	k.adjust(alive() + mib)
	if got := percentNow(); got != set {
		t.Errorf("%d %% after a small change, want %d as before", got, set)
	}
	runtime.KeepAlive(held)
	debug.SetGCPercent(before)
}

func TestKeepLeavesTheEnvironmentAlone(t *testing.T) {
	before := percentNow()
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		stop := Keep(func(asked string) string {
			if asked == name {
				return "150"
			}
			return ""
		}, Goal)
		if got := percentNow(); got != before {
			t.Errorf("%s is set: %d %%, want %d as before", name, got, before)
		}
		stop()
	}
}
