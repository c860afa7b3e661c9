package feed

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/revocation"
)

// Config is what a Feed needs.
type Config struct {
	// Conn is a connection with at least a verifier's permissions. Required.
	// It should reconnect for ever: the feed outlives any time without it.
	Conn *nats.Conn
	// PublicKey is the key that the projector signs with. Required.
	PublicKey ed25519.PublicKey
	// Name is what people call this verifier, for example orders. Several may
	// have the same. With it the feed reports how far it is, so that a revocation
	// can be seen to be enforced here. Up to 128 bytes that can be printed, and
	// no person's: everybody who may see revocations sees it. Empty reports
	// nothing.
	Name string
	// ID is what tells this verifier from others: 1 to 64 of a-z A-Z 0-9 _ -.
	// Default one that is made up, and kept in Dir. Without either each start is
	// another verifier, and one that was killed is missed for seven days.
	ID string
	// Dir keeps the last snapshot for a start without the server. It is created
	// with mode 0700. Empty keeps nothing.
	Dir string
	// StaleAfter is the age from which the view vouches for nothing. Default
	// 5 s, 200 ms to 5 min, and several heartbeats of the projector.
	StaleAfter time.Duration
	// QuietAfter is how long to hear nothing before asking what is stored.
	// Default 1.5 s, at most StaleAfter: more than a heartbeat.
	QuietAfter time.Duration
	// ClockSkew is how far the projector's clock may be from ours. Default 2 s,
	// at most 1 min. A delta that was signed longer ago than that on arrival, or
	// as far ahead, adds what is beyond it to the age of the view.
	ClockSkew time.Duration
	// SaveEvery is how often a newer snapshot is fetched and saved in Dir.
	// Default 10 min, at least 100 ms.
	SaveEvery time.Duration
	// Log is told what happens. Nil drops it.
	Log *slog.Logger
	// OnApply is told of every delta and snapshot applied, from the goroutine
	// of Run: it must not block.
	OnApply func(Applied)
	// OnDelta is given every delta that continues the view, as it was signed and
	// as it was read, before anything waits for it; from the goroutine of Run: it
	// must not block, and not keep d. It is what a relay passes on.
	OnDelta func(d *revocation.Delta, message []byte)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// Applied is one step of the view.
type Applied struct {
	Head     revocation.Head
	Position uint64        // what decisions are made at from now on, in the first shard
	Entries  int           // in the delta; of a snapshot, all
	Snapshot bool          // whether the view was replaced
	Delay    time.Duration // from signing to applying, by both clocks
}

func (c Config) withDefaults() Config {
	def(&c.StaleAfter, 5*time.Second)
	def(&c.QuietAfter, min(1500*time.Millisecond, c.StaleAfter))
	def(&c.ClockSkew, 2*time.Second)
	def(&c.SaveEvery, 10*time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnApply == nil {
		c.OnApply = func(Applied) {}
	}
	if c.OnDelta == nil {
		c.OnDelta = func(*revocation.Delta, []byte) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func def(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Validate reports all faults of c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Conn != nil, "conn is missing")
	check(len(c.PublicKey) == ed25519.PublicKeySize, "public key: want an Ed25519 key of %d bytes", ed25519.PublicKeySize)
	check(revocation.ValidVerifierName(c.Name), "name: want up to %d bytes that can be printed", revocation.MaxVerifierName)
	check(c.ID == "" || revocation.ValidVerifierID(c.ID), "id: want 1 to %d of a-z A-Z 0-9 _ -", revocation.MaxVerifierID)
	check(c.ID == "" || c.Name != "", "id without name: nothing is reported")
	check(c.StaleAfter >= 200*time.Millisecond && c.StaleAfter <= 5*time.Minute, "stale after %s: want 200ms to 5m", c.StaleAfter)
	check(c.QuietAfter > 0 && c.QuietAfter <= c.StaleAfter, "quiet after %s: want up to stale after, %s", c.QuietAfter, c.StaleAfter)
	check(c.ClockSkew > 0 && c.ClockSkew <= time.Minute, "clock skew %s: want up to 1m", c.ClockSkew)
	check(c.SaveEvery >= 100*time.Millisecond, "save every %s: want at least 100ms", c.SaveEvery)
	return errors.Join(errs...)
}
