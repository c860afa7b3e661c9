package rebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/audit"
)

// ErrDiffers says that what was built is not what the logs say.
var ErrDiffers = errors.New("the new tables differ from the log")

// TablesConfig is what Tables needs. Options, Logs and Verify are required.
type TablesConfig struct {
	// Options say where the database is that is rebuilt, and an account with
	// the rights of Grants.
	Options *clickhouse.Options
	// Logs are those of every shard: each is read from its beginning, and what
	// is of no log is not in the new tables.
	Logs []*stream.Log
	// Verify says in what the tables of a connection are not what the logs say, or
	// that it could not find out. Either keeps them from being used.
	Verify func(ctx context.Context, conn driver.Conn) (differs, err error)
	// DropOld drops what was replaced, and so does the next rebuild where this one
	// is killed before. Default: it is kept.
	DropOld bool
	// Progress is told each step before it is done. nil is not called.
	Progress func(step string)
	// Now names what was replaced. nil means time.Now.
	Now func() time.Time
	// Logger is told what the projector does. nil discards.
	Logger *slog.Logger
}

// Built is what Tables did.
type Built struct {
	Records uint64 `json:"records"`        // in the new tables when they were put in place
	Kept    string `json:"kept,omitempty"` // database that was replaced, where it was kept
	Dropped bool   `json:"dropped"`        // whether it was dropped
	Resumed bool   `json:"resumed"`        // whether an earlier run had begun
	Was     bool   `json:"was_there"`      // whether there was anything to replace
	Name    string `json:"database"`       //
}

// Grants are the rights that the account needs, as the lists after GRANT.
func Grants(database string) []string {
	return []string{
		"ALL ON " + database + ".*", "ALL ON " + database + buildSuffix + ".*", "ALL ON " + database + oldSuffix + "*.*",
		"SELECT ON system.*", "KILL QUERY ON *.*", "TABLE ENGINE ON MergeTree", "TABLE ENGINE ON Atomic",
	}
}

const (
	buildSuffix = "_rebuild"
	oldSuffix   = "_old_"
	oldTime     = "20060102150405"
	dropSuffix  = "_drop" // of what was replaced and is not to be kept
	stall       = time.Minute
)

// tables is one rebuild.
type tables struct {
	TablesConfig
	name  string      // of the database
	root  driver.Conn // outside any database
	live  kept        // the fences of the tables that are there
	built Built

	fenced int // how often they were taken
}

// Tables rebuilds the database.
func Tables(ctx context.Context, cfg TablesConfig) (Built, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t := &tables{TablesConfig: cfg, name: cfg.Options.Auth.Database}
	t.built.Name = t.name
	var err error
	if t.root, err = t.open(""); err != nil {
		return Built{}, fmt.Errorf("rebuild %s: %w", t.name, err)
	}
	defer t.root.Close()
	if err := t.run(ctx); err != nil {
		return t.built, fmt.Errorf("rebuild %s: %w", t.name, err)
	}
	return t.built, nil
}

// run is the same whether it begins or goes on: what an earlier run left under
// the name of the build is continued by the projector, as it continues after
// any restart.
func (t *tables) run(ctx context.Context) error {
	var err error
	if t.built.Resumed, err = t.exists(ctx, t.name+buildSuffix); err != nil {
		return err
	}
	if t.built.Was, err = t.exists(ctx, t.name); err != nil {
		return err
	}
	conn, err := t.open(t.name + buildSuffix)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer t.live.end()
	for _, s := range []step{
		{"make tables", t.migrate},
		{"read the log", t.project},
		{"mark duplicates", t.search},
		{"verify", t.verify},
		{"read what came meanwhile", t.project},
	} {
		if err := t.do(ctx, s, conn); err != nil {
			return err
		}
	}
	if err := t.replace(ctx, conn); err != nil {
		return err
	}
	return t.do(ctx, step{"drop what was replaced", t.drop}, conn)
}

// step is a part of a rebuild that is told before it is done.
type step struct {
	name string
	do   func(ctx context.Context, built driver.Conn) error
}

func (t *tables) do(ctx context.Context, s step, conn driver.Conn) error {
	t.Progress(s.name)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.do(ctx, conn); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

func (t *tables) options(database string) *clickhouse.Options {
	o := *t.Options
	o.Auth.Database = database
	return &o
}

func (t *tables) open(database string) (driver.Conn, error) {
	return audit.Open(t.options(database), stall)
}

func (t *tables) exists(ctx context.Context, database string) (bool, error) {
	var n uint64
	err := t.root.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = {name:String}", clickhouse.Named("name", database)).Scan(&n)
	return n > 0, err
}

func (t *tables) migrate(ctx context.Context, _ driver.Conn) error {
	if err := t.root.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+t.name+buildSuffix+" ENGINE = Atomic"); err != nil {
		return err
	}
	return audit.Migrate(ctx, audit.MigrateConfig{Options: t.options(t.name + buildSuffix), Log: t.Logger})
}

func (t *tables) config(conn driver.Conn, log *stream.Log) audit.Config {
	return audit.Config{Conn: conn, Shard: log.Shard(), Lookup: log, Stall: stall, Log: t.Logger,
		Read: func(ctx context.Context, from uint64) (audit.LogReader, error) { return log.Read(ctx, from) }}
}

// project reads one log after another, until the tables have all that is in
// them now.
func (t *tables) project(ctx context.Context, conn driver.Conn) error {
	t.built.Records = 0
	for _, log := range t.Logs {
		records, err := projectLog(ctx, log, t.config(conn, log))
		if err != nil {
			return fmt.Errorf("shard=%d: %w", log.Shard(), err)
		}
		t.built.Records += records
	}
	return nil
}

// maxFailures is how often in a row a projector may fail: some 40 s, in which a
// ClickHouse that was only started anew is there again.
const maxFailures = 10

// projectLog runs the projector of one log, and returns how many records it
// has put into the tables since their beginning.
func projectLog(ctx context.Context, log *stream.Log, cfg audit.Config) (records uint64, err error) {
	last, err := log.Last(ctx)
	if err != nil {
		return 0, err
	}
	p, err := audit.New(cfg)
	if err != nil {
		return 0, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.Run(running) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.Position().Seq < last.Seq {
		select {
		case err := <-done:
			return 0, errors.Join(errors.New("the projector stopped"), err, ctx.Err())
		case <-tick.C:
		}
		if s := p.Status(); s.Failures >= maxFailures {
			stop()
			return 0, errors.Join(fmt.Errorf("the projector failed %d times in a row: mend what is wrong, and run this again: %w", s.Failures, s.Err), <-done)
		}
	}
	records = p.Position().Next
	stop()
	return records, <-done
}

// search marks what a projector may take an hour to mark: an event that is in
// the log twice and not marked is a difference.
func (t *tables) search(ctx context.Context, conn driver.Conn) error {
	for _, log := range t.Logs {
		if err := audit.Search(ctx, t.config(conn, log)); err != nil {
			return fmt.Errorf("shard=%d: %w", log.Shard(), err)
		}
	}
	return nil
}

func (t *tables) verify(ctx context.Context, conn driver.Conn) error {
	differs, err := t.Verify(ctx, conn)
	if err == nil && differs != nil {
		err = fmt.Errorf("%w: %w", ErrDiffers, differs)
	}
	return err
}

// replace puts the new tables in place when they have all that is in those that
// are there.
func (t *tables) replace(ctx context.Context, conn driver.Conn) error {
	for {
		if err := t.catchUp(ctx, conn); err != nil {
			return err
		}
		if err := t.do(ctx, step{"put the new tables in place", t.swap}, conn); !errors.Is(err, errLate) {
			return err
		}
	}
}

// errLate says that something may have been inserted into the tables that are
// there after they were read for the last time. They have their name again.
var errLate = errors.New("a projector has taken over meanwhile")

// errNotThere says that there is nothing to put in place: another rebuild did.
var errNotThere = errors.New("the new database is not there any more")

// swap gives the database that is there another name, and the new one its own.
// Killed in between, the next run finds none of the name and only does the
// rest.
func (t *tables) swap(ctx context.Context, _ driver.Conn) error {
	fences := t.live.fences
	t.live.end() // of here on the name is another's
	if built, err := t.exists(ctx, t.name+buildSuffix); err != nil || !built {
		return cmp.Or(err, errNotThere)
	}
	there, err := t.exists(ctx, t.name)
	if err != nil {
		return err
	}
	if !there {
		return t.rename(ctx, t.name+buildSuffix, t.name)
	}
	kept := t.name + oldSuffix + t.Now().UTC().Format(oldTime)
	if t.DropOld {
		kept += dropSuffix
	}
	if err := t.rename(ctx, t.name, kept); err != nil {
		return err
	}
	err = t.unlessLate(ctx, fences, kept)
	if err == nil {
		err = t.rename(ctx, t.name+buildSuffix, t.name)
	}
	if err != nil { // the second name may be given all the same: then it is taken
		if back := t.rename(context.WithoutCancel(ctx), kept, t.name); back != nil {
			return fmt.Errorf("%s: %w", err.Error(), back) // and no errLate: nothing has that name
		}
		return err
	}
	t.built.Kept = kept
	return nil
}

// unlessLate is errLate where somebody has taken one of the fences of the old
// tables. Under their new name nobody can any more.
func (t *tables) unlessLate(ctx context.Context, fences []*audit.Kept, old string) error {
	if len(fences) == 0 {
		return nil
	}
	conn, err := t.open(old)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, f := range fences {
		if still, err := f.StillIn(ctx, conn); err != nil || !still {
			return cmp.Or(err, errLate)
		}
	}
	return nil
}

// rename gives a database another name. An error does not mean that it has the
// old one: that is looked at, once the server does no more about it.
func (t *tables) rename(ctx context.Context, from, to string) error {
	id := uuid.NewString()
	err := t.root.Exec(clickhouse.Context(ctx, clickhouse.WithQueryID(id)), "RENAME DATABASE "+from+" TO "+to)
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stall)
	defer cancel()
	switch renamed, unsure := t.renamed(ctx, id, from, to); {
	case unsure != nil:
		return fmt.Errorf("%w; whether %s has that name is not known: %w", err, to, unsure)
	case renamed:
		return nil
	default:
		return err
	}
}

// renamed reports whether the statement of that id has done its work, or ever
// will.
func (t *tables) renamed(ctx context.Context, id, from, to string) (bool, error) {
	if err := t.root.Exec(ctx, "KILL QUERY WHERE query_id = {id:String} SYNC", clickhouse.Named("id", id)); err != nil {
		return false, err
	}
	if there, err := t.exists(ctx, to); err != nil || !there {
		return false, err
	}
	still, err := t.exists(ctx, from)
	return err == nil && !still, err
}

// drop drops what was replaced and is not to be kept, now or by a rebuild that
// was killed before it came to this.
func (t *tables) drop(ctx context.Context, _ driver.Conn) error {
	names, err := t.toDrop(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := t.root.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" SYNC"); err != nil {
			return err
		}
		if name == t.built.Kept {
			t.built.Kept, t.built.Dropped = "", true
		}
	}
	return nil
}

// toDrop is the databases that a rebuild named so, and no other of a like name.
func (t *tables) toDrop(ctx context.Context) (names []string, err error) {
	pattern := "^" + regexp.QuoteMeta(t.name+oldSuffix) + fmt.Sprintf("[0-9]{%d}", len(oldTime)) + dropSuffix + "$"
	err = t.root.QueryRow(ctx, "SELECT groupArray(name) FROM system.databases WHERE match(name, {pattern:String})", clickhouse.Named("pattern", pattern)).Scan(&names)
	return names, err
}
