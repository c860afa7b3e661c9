package verify

import (
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
)

// Config is what Run needs. NATS, ClickHouse and FeedKey are required; every
// other field works at zero.
type Config struct {
	// NATS is a connection that may ask about and read, by direct get, the
	// log, the deltas and the snapshots.
	NATS *nats.Conn
	// ClickHouse is a connection whose account may select from events,
	// payloads and batches.
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
	// Scratch is the folder for temporary files, about 170 bytes a record.
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
	if c.Settle == 0 {
		c.Settle = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	fault := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	fault(c.NATS == nil, "nats is missing")
	fault(c.ClickHouse == nil, "clickhouse is missing")
	fault(len(c.FeedKey) != ed25519.PublicKeySize, "feed key is not an Ed25519 public key")
	fault(c.Shards < 0 || c.Shards > maxShards, fmt.Sprintf("shards %d: want 1 to %d", c.Shards, maxShards))
	for i, k := range c.Only {
		fault(int(k) >= max(c.Shards, 1), fmt.Sprintf("shard %d of %d", k, max(c.Shards, 1)))
		fault(slices.Contains(c.Only[:i], k), fmt.Sprintf("shard %d twice", k))
	}
	fault(c.To != 0 && c.To < c.From, "to is below from")
	fault(c.Limit < 0, "limit is negative")
	return errors.Join(errs...)
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
	v.log, v.identities = &logReader{v: v}, &identities{spill: newSpill(dir, "identities")}
	v.events, v.payloads, v.batches = eventsTable(v, dir), payloadsTable(v, dir), batchesTable(v, dir)
	return v
}

// run verifies the log and the tables of the shard.
func (v *verifier) run(ctx context.Context, f *feed) error {
	position, err := v.position(ctx)
	if err != nil {
		return err
	}
	v.fold = f.folds[v.shard]
	if err := v.readLog(ctx); err != nil {
		return err
	}
	if err := v.compareTables(ctx, position); err != nil {
		return err
	}
	if err := v.identities.load(ctx, v); err != nil {
		return err
	}
	if err := v.identities.check(v.found); err != nil {
		return err
	}
	if err := v.settle(ctx, position); err != nil {
		return err
	}
	v.sum(f, position)
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
	v.width = size/spillParts + 1
	err = v.log.read(ctx, in.lastSeq)
	v.fold.end = v.log.seq
	return err
}

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

func (v *verifier) compareTables(ctx context.Context, position uint64) error {
	tables := []*table{v.events, v.payloads, v.batches}
	for _, t := range tables {
		if err := t.load(ctx); err != nil {
			return err
		}
	}
	in, err := v.source.info(ctx, logOf(v.shard))
	if err != nil {
		return err
	}
	fresh, err := v.size(ctx, in.lastSeq)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := t.compare(ctx, position, v.log.next, max(fresh, v.log.next)); err != nil {
			return fmt.Errorf("compare %s: %w", t.place, err)
		}
	}
	return nil
}

// position is the index below which ClickHouse says it has everything.
func (v *verifier) position(ctx context.Context) (position uint64, err error) {
	err = v.rows(ctx, "SELECT max(first + count) FROM batches WHERE shard = {shard:UInt16}", nil, func(scan func(...any) error) error {
		return scan(&position)
	})
	if err != nil {
		return 0, fmt.Errorf("read position: %w", err)
	}
	return position, nil
}

// settle waits, where records above the position are in events, for the
// position to move: the projector records a batch right after its records.
func (v *verifier) settle(ctx context.Context, position uint64) error {
	if v.events.ahead == 0 || !v.wants(position) {
		return nil
	}
	tick := time.NewTicker(min(200*time.Millisecond, v.cfg.Settle))
	defer tick.Stop()
	for deadline := time.Now().Add(v.cfg.Settle); time.Now().Before(deadline); {
		now, err := v.position(ctx)
		if err != nil || now > position {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	v.found.add(Difference{Place: Batches, Kind: Missing, Index: position,
		Detail: fmt.Sprintf("%d records from here on are in events, and no batch of them is recorded", v.events.ahead)})
	return nil
}

func (v *verifier) sum(f *feed, position uint64) {
	r := v.report
	r.Log = v.log.report()
	r.ClickHouse = TablesReport{Position: position, Events: v.events.count, Payloads: v.payloads.count,
		Batches: v.batches.count, Duplicates: v.identities.known, NotProjected: v.events.lag}
	r.Feed = RevocationsPart{Entries: v.fold.living(), Deltas: f.deltas, NotInFeed: v.fold.behind}
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
