package verify

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2"
)

const maxShards = 64

// logOf is the stream of a shard's log. The first has the name that the only
// one has.
func logOf(shard uint16) string {
	if shard == 0 {
		return "RESCIND_LOG"
	}
	return "RESCIND_LOG_" + strconv.Itoa(int(shard))
}

// subjectOf is the subject of a lane of a shard's log, "*" for every lane.
func subjectOf(shard uint16, lane string) string {
	if shard == 0 {
		return "rescind.log." + lane
	}
	return "rescind.log." + strconv.Itoa(int(shard)) + "." + lane
}

// shardOf is the shard that a tenant's records belong in: FNV-1a of 32 bits
// modulo n.
func shardOf(tenant string, n int) uint16 {
	h := fnv.New32a()
	h.Write([]byte(tenant))
	return uint16(h.Sum32() % uint32(n))
}

// strays names rows under a shard that does not exist: there is no log that
// could account for them.
func (v *verifier) strays(ctx context.Context) error {
	if len(v.cfg.Only) < v.cfg.Shards {
		return nil
	}
	for _, t := range []struct {
		place Place
		index string
	}{{Events, "`index`"}, {Payloads, "`index`"}, {Batches, "first"}, {Duplicates, "`index`"}} {
		if err := v.straysIn(ctx, t.place, t.index); err != nil {
			return fmt.Errorf("read %s of no shard: %w", t.place, err)
		}
	}
	return nil
}

func (v *verifier) straysIn(ctx context.Context, place Place, index string) error {
	query := fmt.Sprintf("SELECT shard, %[1]s FROM %[2]s WHERE shard >= {shards:UInt16} AND %[1]s BETWEEN {from:UInt64} AND {to:UInt64} ORDER BY shard, %[1]s", index, place)
	args := append(v.bounds(), clickhouse.Named("shards", v.cfg.Shards))
	return v.rows(ctx, query, args, func(scan func(...any) error) error {
		d := Difference{Place: place, Kind: Extra, Detail: fmt.Sprintf("there are only %d shards", v.cfg.Shards)}
		if err := scan(&d.Shard, &d.Index); err != nil {
			return err
		}
		v.found.addAs(d)
		return nil
	})
}
