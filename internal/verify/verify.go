package verify

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/internal/faults"
)

// Config is what Run needs. NATS, ClickHouse and FeedKey are required; every
// other field works at zero.
type Config struct {
	// NATS is a connection that may ask about and read, by direct get, the
	// log, the deltas and the snapshots.
	NATS *nats.Conn
	// ClickHouse is a connection whose account may select from events, payloads,
	// batches, duplicates and searches.
	ClickHouse driver.Conn
	// FeedKey is the public key that verifiers trust.
	FeedKey ed25519.PublicKey
	// Shards is how many logs tenants are split over, 1 to 64. Default 1.
	Shards int
	// Only lists the shards that are verified, each below Shards. Default: all.
	// The revocations of the others are read all the same, because there is one
	// feed. Rows under a shard that does not exist are looked for where Only
	// leaves none out.
	Only []uint16
	// From and To bound the indices that are compared with ClickHouse, both
	// inclusive. A To of 0 means no bound. The log itself and the revocation
	// set are always verified whole.
	From, To uint64
	// Limit is how many differences each report keeps. All are counted. Default
	// 100.
	Limit int
	// Settle is how long a batch whose records are in events may be without its
	// row in batches. Default 5 s: the projector writes it right after them.
	Settle time.Duration
	// MaxLag is how old what is not projected, or not told to verifiers, may be:
	// older, it is missing. Default 10 min: a projector that works is seconds
	// behind, and what somebody has removed at the end of every table looks as if
	// it were not there yet.
	MaxLag time.Duration
	// Wait is how long the stores may take to reach what the logs had when the
	// run began. It reads when they have, or when the time is up; what they lack
	// of that then is missing. Default 0: it does not wait.
	Wait time.Duration
	// MarkWithin is how long after it was logged an event that is in the log a
	// second time, and recorded, may be without a mark. Default 70 min: a projector searches every hour.
	MarkWithin time.Duration
	// Scratch is the folder for temporary files, about 200 bytes a record and 24 a
	// row that no record accounts for.
	// Default: the system's.
	Scratch string
	// Progress is told, at most once a second, what is being read, how far it
	// is, and of how much (0: not known). nil is not called.
	Progress func(what string, done, of uint64)
	// Now is the clock. nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.Shards = max(c.Shards, 1)
	if len(c.Only) == 0 {
		for k := range uint16(c.Shards) {
			c.Only = append(c.Only, k)
		}
	}
	if c.Limit == 0 {
		c.Limit = 100
	}
	c.Settle = cmp.Or(c.Settle, 5*time.Second)
	c.MaxLag = cmp.Or(c.MaxLag, 10*time.Minute)
	c.MarkWithin = cmp.Or(c.MarkWithin, 70*time.Minute)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var f faults.List
	f.Check(c.NATS != nil, "nats is missing")
	f.Check(c.ClickHouse != nil, "clickhouse is missing")
	f.Check(len(c.FeedKey) == ed25519.PublicKeySize, "feed key is not an Ed25519 public key")
	f.Check(c.Shards >= 0 && c.Shards <= maxShards, "shards %d: want 1 to %d", c.Shards, maxShards)
	for i, k := range c.Only {
		f.Check(int(k) < max(c.Shards, 1), "shard %d of %d", k, max(c.Shards, 1))
		f.Check(!slices.Contains(c.Only[:i], k), "shard %d twice", k)
	}
	f.Check(c.To == 0 || c.To >= c.From, "to is below from")
	f.Check(c.Limit >= 0, "limit is negative")
	f.Check(c.MaxLag >= 0, "max lag is negative")
	f.Check(c.Wait >= 0, "wait is negative")
	return f.Err()
}

// verifier verifies one shard. It belongs to one goroutine.
type verifier struct {
	cfg    Config
	shard  uint16
	source source
	report *Report
	found  *findings
	told   time.Time // when progress was told last
	width  uint64    // indices in one part of a spill
	due    due       // of a run that waits
	began  time.Time // when at was read, before the log
	at     progress  // of the projector
	since  time.Time // when the first record that is not projected was logged; zero: none

	log                       *logReader
	fold                      *fold // that of the feed for this shard
	identities                *identities
	events, payloads, batches *table
}

// Run compares the stores with the logs and says what differs, shard by shard.
// An error means that it could not find out.
func Run(ctx context.Context, cfg Config) (Reports, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	reports, err := run(ctx, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return reports, nil
}

// run reads in an order that makes a live deployment look whole: the feed
// before the logs, and of each shard the position before the log, and the log
// before its rows.
func run(ctx context.Context, cfg Config) (_ Reports, err error) {
	dir, err := os.MkdirTemp(cfg.Scratch, "rescind-verify-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f := &feed{cfg: cfg, source: source{cfg.NATS}, of: map[uint16]*verifier{}}
	var reports Reports
	for _, shard := range cfg.Only {
		part := filepath.Join(dir, strconv.Itoa(int(shard)))
		if err := os.Mkdir(part, 0o700); err != nil {
			return nil, err
		}
		v := newVerifier(cfg, shard, part)
		f.of[shard], reports = v, append(reports, v.report)
	}
	f.v = f.of[cfg.Only[0]]
	if err := f.await(ctx); err != nil {
		return nil, err
	}
	if err := f.read(ctx); err != nil {
		return nil, err
	}
	for _, shard := range cfg.Only {
		if err := f.of[shard].run(ctx, f); err != nil {
			return nil, fmt.Errorf("shard=%d: %w", shard, err)
		}
	}
	if err := f.check(ctx); err != nil {
		return nil, err
	}
	if err := f.v.strays(ctx); err != nil {
		return nil, err
	}
	for _, shard := range cfg.Only {
		f.of[shard].found.close()
	}
	return reports, nil
}

func newVerifier(cfg Config, shard uint16, dir string) *verifier {
	report := &Report{Shard: shard}
	v := &verifier{cfg: cfg, shard: shard, source: source{cfg.NATS}, report: report, found: newFindings(report, cfg.Limit)}
	v.log, v.identities = &logReader{v: v}, newIdentities(dir)
	v.events, v.payloads, v.batches = eventsTable(v, dir), payloadsTable(v, dir), batchesTable(v, dir)
	return v
}

// run verifies the log and the tables of the shard.
func (v *verifier) run(ctx context.Context, f *feed) (err error) {
	v.began = v.cfg.Now()
	if v.at, err = v.progress(ctx); err != nil {
		return err
	}
	v.fold = f.folds[v.shard]
	for _, step := range []func(context.Context) error{v.readLog, v.compareTables, v.overdue, v.identities.of(v), v.settle} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	v.sum(f)
	return nil
}

// readLog reads the log up to where it ends now.
func (v *verifier) readLog(ctx context.Context) error {
	in, err := v.source.info(ctx, logOf(v.shard))
	if err != nil {
		return err
	}
	size, err := v.size(ctx, in.lastSeq)
	if err != nil {
		return err
	}
	if most := in.lastSeq * maxBatch; size == 0 || size > most { // the last message says nothing, or what cannot be
		size = most
	}
	v.width = size/spillParts + 1
	err = v.log.read(ctx, in.lastSeq)
	v.fold.end = v.log.seq
	return err
}

// maxBatch is how many records a batch has at most.
const maxBatch = 1000

// size is how many records the log has by its last message, 0 where that does
// not say.
func (v *verifier) size(ctx context.Context, last uint64) (size uint64, err error) {
	err = v.source.walk(ctx, logOf(v.shard), subjectOf(v.shard, "*"), last, last, func(m message) error {
		if b, err := decodeBatch(m.data); err == nil {
			size = b.Header.First + b.Header.Count
		}
		return nil
	})
	return size, err
}

func (v *verifier) compareTables(ctx context.Context) error {
	tables := []*table{v.events, v.payloads, v.batches}
	for _, t := range tables {
		if err := t.load(ctx); err != nil {
			return err
		}
	}
	fresh, err := v.fresh(ctx)
	if err != nil {
		return err
	}
	v.checkSearched(fresh)
	for _, t := range tables {
		if err := t.compare(ctx, v.position()); err != nil {
			return fmt.Errorf("compare %s: %w", t.place, err)
		}
	}
	return nil
}

// fresh is the size of the log now: what is in a table beyond what was read of
// the log may have come since.
func (v *verifier) fresh(ctx context.Context) (uint64, error) {
	in, err := v.source.info(ctx, logOf(v.shard))
	if err != nil {
		return 0, err
	}
	size, err := v.size(ctx, in.lastSeq)
	return max(size, v.log.next), err
}

func (v *verifier) sum(f *feed) {
	r := v.report
	r.Log = v.log.report()
	r.ClickHouse = TablesReport{Position: v.at.recorded, Events: v.events.count, Payloads: v.payloads.count,
		Batches: v.batches.count, Duplicates: v.identities.known, NotMarked: v.identities.unmarked,
		NotProjected: v.events.lag, Since: timeOf(v.since)}
	r.Feed = RevocationsPart{Entries: v.fold.living(), Deltas: f.deltas, NotInFeed: v.fold.behind, Since: timeOf(v.fold.since)}
	if h := f.head(); h != nil {
		r.Feed.Position = h.Place(v.shard).Position
	}
	if f.snapshot != nil {
		r.Feed.SnapshotSeq = f.snapshot.Seq
	}
}

func (v *verifier) to() uint64 {
	if v.cfg.To == 0 {
		return math.MaxUint64
	}
	return v.cfg.To
}

// wants reports whether an index is compared with ClickHouse.
func (v *verifier) wants(index uint64) bool { return v.cfg.From <= index && index <= v.to() }

// part is the part of a spill that an index is in.
func (v *verifier) part(index uint64) int { return int(min(index/v.width, spillParts-1)) }

// tell tells progress, at most once a second.
func (v *verifier) tell(what string, done, of uint64) {
	if v.cfg.Progress == nil || done%1024 != 0 && done != of {
		return
	}
	if now := time.Now(); now.Sub(v.told) >= time.Second {
		v.told = now
		if v.cfg.Shards > 1 {
			what = fmt.Sprintf("%s of shard %d", what, v.shard)
		}
		v.cfg.Progress(what, done, of)
	}
}
