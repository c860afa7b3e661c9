package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// Ledger is what was erased: *ledger.Ledger.
type Ledger interface {
	// Read gives every entry in the order in which they were written. The error
	// wraps ledger.ErrTampered where one is not as it was written.
	Read(ctx context.Context, fn func(ledger.Entry) error) error
	// Append is durable on return.
	Append(ctx context.Context, entries ...ledger.Entry) error
}

// Log is the log of a shard: *stream.Log.
type Log interface {
	Read(ctx context.Context, from uint64, lanes ...events.Lane) (*stream.Reader, error)
	// Last and LastOf have Seq 0 where there is none.
	Last(ctx context.Context) (stream.LogMessage, error)
	LastOf(ctx context.Context, lane events.Lane) (stream.LogMessage, error)
	// Get wraps stream.ErrNotFound.
	Get(ctx context.Context, seq uint64) (stream.LogMessage, error)
}

// Keyring is where keys can come back: *seal.Keyring.
type Keyring interface {
	Returned(ctx context.Context, people []seal.Reference) ([]seal.Reference, error)
	ReturnedHolds(ctx context.Context, keys []seal.Reference) ([]seal.Reference, error)
	DestroyAgain(ctx context.Context, r seal.Reference) error
	Fence(ctx context.Context, tenant string, ref events.Ref) error
	DestroyHold(ctx context.Context, tenant string, hold events.Ref) error
	// KeyMark wraps seal.ErrDestroyed where the key is gone.
	KeyMark(ctx context.Context, tenant string, ref events.Ref) (string, error)
}

// Exports is where what was exported of people can come back: *stream.Exports.
type Exports interface {
	// People is whose exports are there.
	People(ctx context.Context) (map[seal.Reference]bool, error)
	// DropAll removes every export of a person.
	DropAll(ctx context.Context, tenant string, person events.Ref) error
}

// Config is what a pass needs.
type Config struct {
	Ledger  Ledger  // required
	Logs    []Log   // of every shard, in their order
	Keyring Keyring // required
	Exports Exports // that this process serves; required

	// Publish puts an event into the intake, durably on return. Required.
	Publish func(ctx context.Context, ev events.Event) error
	// Drop returns when no process keeps a key in memory. It is called after
	// anything was destroyed. Required.
	Drop func(ctx context.Context) error
	// Lock keeps others from passing until it is released. nil does not.
	Lock func(ctx context.Context) (release func(), err error)

	// Environment is that of the events.
	Environment string
	// TenantOf is the tenant of events about a shard itself. Required.
	TenantOf func(shard uint16) string

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
}

// Report is what a pass has found.
type Report struct {
	Erased    int // people in the ledger
	Added     int // of them, written into it now, as a log says so
	Destroyed int // people whose key was back
	Fenced    int // those of whom a hold may keep a part
	Holds     int // keys of released holds, callbacks and notices that were back
	Exports   int // people of whom exports were there
	Revoked   int // revocations that a log had lost
	Stated    int // requests that a restored log does not say to be carried out, of people who were erased
	Restored  int // logs that end before what was erased
}

type gate struct {
	Config
	report Report
}

// Pass compares, destroys, records. Nothing may be served before it returns nil.
func Pass(ctx context.Context, cfg Config) (Report, error) {
	g := &gate{Config: cfg}
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.Logger == nil {
		g.Logger = slog.Default()
	}
	began := time.Now()
	if err := g.pass(ctx); err != nil {
		return g.report, fmt.Errorf("restore gate: nothing is served: %w%s", err, advice(err))
	}
	level, msg := slog.LevelInfo, "restore gate passed"
	again := g.report.Destroyed + g.report.Fenced + g.report.Holds + g.report.Exports
	if again > 0 || g.report.Restored > 0 {
		level, msg = slog.LevelWarn, "restore gate passed after a restore: what was erased is erased again; see findings erased-returned, and log-restored of tenant rescind"
	}
	g.Logger.Log(ctx, level, msg, slog.Int("erased", g.report.Erased), slog.Int("again", again),
		slog.Int("restored", g.report.Restored), slog.Duration("elapsed", time.Since(began)))
	return g.report, nil
}

// advice is what to do about an error, where that is not plain.
func advice(err error) string {
	switch {
	case errors.Is(err, ledger.ErrTampered):
		return ": put the ledger's own backup in its place; or, if there is none, and you know that nothing else was restored, move it away: it is made anew from the log"
	case errors.Is(err, seal.ErrEpoch):
		return ": the keyring is from an epoch whose key is destroyed: restore a newer copy"
	default:
		return ""
	}
}

func (g *gate) pass(ctx context.Context) error {
	if g.Lock != nil {
		release, err := g.Lock(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	s, err := g.survey(ctx)
	if err != nil {
		return err
	}
	p, err := g.read(ctx, s)
	if err != nil {
		return err
	}
	open := p.open() // before complete takes from p what is in the ledger
	if err := g.complete(ctx, s, p); err != nil {
		return err
	}
	lost, err := g.lost(ctx, p)
	if err != nil {
		return err
	}
	unsaid, err := g.unsaid(ctx, s, open)
	if err != nil {
		return err
	}
	if err := g.say(ctx, s, p, lost, unsaid); err != nil {
		return err
	}
	if err := g.destroy(ctx, s); err != nil {
		return err
	}
	if err := g.dropExports(ctx, s); err != nil {
		return err
	}
	return g.see(ctx, s, p)
}

// see says in the ledger that the logs were compared up to where they end.
func (g *gate) see(ctx context.Context, s *survey, p *past) error {
	var entries []ledger.Entry
	for shard := range g.Logs {
		last := p.ends[shard]
		was := s.seen[uint16(shard)]
		if last.Seq == 0 || last.Seq == was.Seq && digestOf(last) == was.Digest {
			continue
		}
		entries = append(entries, ledger.Seen{Shard: uint16(shard), Seq: last.Seq, Digest: digestOf(last), At: g.Now()})
	}
	if len(entries) == 0 {
		return nil
	}
	return g.Ledger.Append(ctx, entries...)
}

func digestOf(m stream.LogMessage) ledger.Digest { return ledger.DigestOf(string(m.Data)) }
