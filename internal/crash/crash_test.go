package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/crash"
)

// TestMain has the servers write to CRASH_TEST_DIR where that is set: on a disk
// what a kill has to hit takes longer than in memory.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CRASH_TEST_DIR"); dir != "" {
		if err := os.Setenv("TMPDIR", dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if err := crash.Clean(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// setting is a number from the environment: how the harness is told to work
// longer, or to do again what it did.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestKillEverything kills whatever can be killed, at random, under load, and
// makes this or that stand still.
func TestKillEverything(t *testing.T) {
	t.Parallel()
	r := crash.Run{Seed: setting(t, "RESCIND_CRASH_SEED", rand.Uint64()), Kills: int(setting(t, "RESCIND_CRASH_KILLS", 200))}
	copies := int(setting(t, "RESCIND_CRASH_COPIES", 2))
	t.Logf("RESCIND_CRASH_SEED=%d RESCIND_CRASH_KILLS=%d RESCIND_CRASH_COPIES=%d", r.Seed, r.Kills, copies)
	crash.NewSite(t, crash.Options{Copies: copies, Latency: 10 * time.Millisecond}).Harness(r)
}
