package feed_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a server, a log and a writer of the feed.
type house struct {
	server *natsd.Server
	log    *feedtest.Log
	keys   *feedtest.Keys
	stop   func() // the writer
}

func start(t *testing.T) *house {
	t.Helper()
	h := &house{server: natsdtest.Start(t), keys: feedtest.NewKeys()}
	h.log = feedtest.OpenLog(t, h.server)
	h.write(t)
	return h
}

// write starts a writer with short times.
func (h *house) write(t *testing.T) {
	t.Helper()
	r := revoke.New(revoke.Config{Conn: natsdtest.Connect(t, h.server, natsd.Projector), Key: feedtest.Signer(), Keys: h.keys,
		Heartbeat: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond, StandbyFor: 200 * time.Millisecond})
	h.stop = feedtest.Go(t, r.Run)
}

// verify starts a verifier with short times.
func (h *house) verify(t *testing.T, change ...func(*feed.Config)) *feed.Feed {
	t.Helper()
	cfg := feed.Config{Conn: natsdtest.Connect(t, h.server, natsd.Verifier), PublicKey: feedtest.Public(), StaleAfter: 2 * time.Second, QuietAfter: 150 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	f := feed.New(cfg)
	feedtest.Go(t, f.Run)
	return f
}

func awaitState(t *testing.T, f *feed.Feed, c revocation.Claims, want revocation.State) revocation.Decision {
	t.Helper()
	var d revocation.Decision
	feedtest.Eventually(t, string(want), func() bool { d = f.Decide(c); return d.State == want })
	return d
}

func awaitReady(t *testing.T, f *feed.Feed) {
	t.Helper()
	select {
	case <-f.Ready():
	case <-time.After(2 * time.Minute):
		t.Fatalf("not ready: %+v", f.Status())
	}
}
