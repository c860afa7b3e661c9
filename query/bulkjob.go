package query

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rescindhq/rescind/query/lane"
)

// BulkSource is the CloudEvents source of the revocations of bulk jobs.
const BulkSource = "rescind:bulk"

const (
	bulkBatch  = 1000 // lines that are judged and published together
	bulkWindow = 4    // batches under way at once: what is behind them is durable
	bulkJobs   = 1000 // jobs that are remembered
	bulkShown  = 100  // refused lines of a job that are kept with their reason
	bulkAtOnce = 4    // jobs whose lines are being read
)

// The states of a job.
const (
	bulkRunning  = "running"  // its lines are being read here
	bulkOpen     = "open"     // there may be more
	bulkComplete = "complete" // all were read here
)

// jobKey tells jobs apart: one of another tenant is another.
type jobKey struct {
	tenant string
	id     jobID
}

// bulkJob is how far one job is. What is in the log is folded from it, and
// outlives us; what was refused, and why, what was repeated and what the lines
// were does not.
type bulkJob struct {
	durable  uint32 // up to this line each was accepted, repeated or refused
	accepted uint32 // of those
	repeated uint32
	lines    lines // those up to durable; nil where they were not read here
	running  bool  // lines are being read, here
	complete bool  // all lines were, here
	refusals []BulkRefusal

	logged   uint32            // its revocations in the log
	position uint64            // of the last of them
	received int64             // when it was, in µs
	last     uint32            // batch of the furthest of them
	recent   map[uint32]uint32 // batch -> its revocations in the log, of the last batches
}

// lines is the HMAC-SHA-256 of lines from the first on, each with a line feed
// behind it, under the UUID of their job: a plain hash would tell whoever sees it
// whether a line is one that they guess. One that is too long counts as empty.
type lines struct{ hash.Cloner }

func noLines(job uuid.UUID) lines { return lines{hmac.New(sha256.New, job[:]).(hash.Cloner)} }

func (l lines) known() bool { return l.Cloner != nil }

func (l lines) add(line []byte) {
	if l.known() {
		_, _ = l.Write(line) // a hash does not fail
		_, _ = l.Write([]byte{'\n'})
	}
}

// until is l as it is now.
func (l lines) until() lines {
	if !l.known() {
		return l
	}
	c, err := l.Clone()
	if err != nil {
		return lines{} // not with SHA-256: what is not known is not compared
	}
	return lines{c}
}

// digest is "" where the lines are not known.
func (l lines) digest() string {
	if !l.known() {
		return ""
	}
	return hex.EncodeToString(l.Sum(nil))
}

// bulk is the last jobs.
type bulk struct {
	mu    sync.Mutex // for the rest
	jobs  map[jobKey]*bulkJob
	order []jobKey // the oldest first
}

func newBulk() *bulk { return &bulk{jobs: make(map[jobKey]*bulkJob)} }

// get is a job, made where there is none.
func (b *bulk) get(k jobKey) *bulkJob {
	if j := b.jobs[k]; j != nil {
		return j
	}
	if len(b.order) >= bulkJobs {
		b.forget()
	}
	j := &bulkJob{recent: make(map[uint32]uint32)}
	b.jobs[k], b.order = j, append(b.order, k)
	return j
}

// forget makes room where most is taken: the oldest job of the tenant that has the
// most, of those that are not running. Who makes many must not have those of
// others forgotten.
func (b *bulk) forget() {
	of, most := make(map[string]int), 0
	for k, j := range b.jobs {
		if !j.running {
			of[k.tenant]++
			most = max(most, of[k.tenant])
		}
	}
	i := slices.IndexFunc(b.order, func(k jobKey) bool { return !b.jobs[k].running && of[k.tenant] == most })
	delete(b.jobs, b.order[i])
	b.order = slices.Delete(b.order, i, i+1)
}

// apply folds one control record.
func (b *bulk) apply(e lane.Entry) {
	if e.Record.Source != BulkSource || e.Record.Type.RevokedScope() == "" {
		return
	}
	id, n, ok := lineOf(e.Record.ID)
	if !ok || n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.get(jobKey{e.Record.Tenant, id})
	j.logged++
	j.position, j.received = e.Index, e.Record.Received
	j.recent[batchOf(n)]++
	if batchOf(n) > j.last {
		j.last = batchOf(n)
	}
	j.settle()
}

func batchOf(line uint32) uint32 { return (line - 1) / bulkBatch }

// settle takes from the log how far the job is, where another process or an
// earlier one read its lines: a batch is begun only when all but the last ones
// before it are durable.
func (j *bulkJob) settle() {
	behind := uint32(0)
	if j.last >= bulkWindow {
		behind = j.last - bulkWindow + 1
	}
	maps.DeleteFunc(j.recent, func(batch, _ uint32) bool { return batch < behind })
	if durable := behind * bulkBatch; !j.running && !j.complete && durable > j.durable {
		j.durable, j.accepted = durable, j.logged
		for _, n := range j.recent {
			j.accepted -= n
		}
	}
}

// errOtherLines says that a job is used again for what it was not made for.
func errOtherLines(durable uint32) error {
	return &problemError{KindState, http.StatusConflict, "not the lines of this job",
		fmt.Sprintf("its first %d lines were others: another file is another job, so make an id for it; to go on with this one send its own lines", durable), "job"}
}

func errNextLine(n uint32) error {
	return bulkState("line %d is the next: send the lines from there on, or all of them", n)
}

// begin lets one request read the lines of a job from line from on, where those
// before it have the digest, if there is one. What was read here from the first
// line on is only compared when it is sent again; what was read elsewhere is
// published again, which revokes nothing twice.
func (b *bulk) begin(k jobKey, job uuid.UUID, from uint32, digest string) (j *bulkJob, skip uint32, read lines, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if running := slices.DeleteFunc(slices.Collect(maps.Values(b.jobs)), func(j *bulkJob) bool { return !j.running }); len(running) >= bulkAtOnce {
		return nil, 0, read, errBulkBusy
	}
	if b.jobs[k] == nil && from > 1 {
		return nil, 0, read, errNextLine(1)
	}
	switch j = b.get(k); {
	case j.running:
		err = bulkState("its lines are being read already")
	case from == 1 && !j.lines.known():
		j.durable, j.accepted, j.repeated, j.refusals, j.lines = 0, 0, 0, nil, noLines(job)
		read = noLines(job)
	case from == 1:
		skip, read = j.durable, noLines(job)
	case from != j.durable+1:
		err = errNextLine(j.durable + 1)
	case digest != "" && j.lines.known() && digest != j.lines.digest():
		err = errOtherLines(j.durable)
	default:
		read = j.lines.until()
	}
	j.running = j.running || err == nil
	return j, skip, read, err
}

// end is called once for each begin.
func (b *bulk) end(j *bulkJob, complete bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.running, j.complete = false, j.complete || complete
}

// done notes that a batch is durable, but for what was refused or repeated.
// Batches are noted in their order.
func (b *bulk) done(j *bulkJob, lot *bulkLot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.durable, j.lines = lot.last, lot.read
	j.accepted, j.repeated = j.accepted+lot.accepted, j.repeated+lot.repeated
	j.refusals = append(j.refusals, lot.refused[:min(len(lot.refused), bulkShown-len(j.refusals))]...)
}

// durable is up to which line a job is done.
func (b *bulk) durable(j *bulkJob) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return j.durable
}

// read is the digest of a job's first lines, as far as they are durable.
func (b *bulk) read(j *bulkJob) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return j.lines.digest()
}

// unlogged is how many accepted lines of a job are not on the log, and how many
// are.
func (b *bulk) unlogged(j *bulkJob) (int64, uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(j.accepted) - int64(j.logged), j.logged
}

// show is how far a job is, and when the last of its revocations on the log was
// received; false where there is none.
func (b *bulk) show(k jobKey) (out BulkJob, received time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.jobs[k]
	if j == nil {
		return out, received, false
	}
	out = BulkJob{Tenant: k.tenant, State: bulkOpen, Next: int64(j.durable) + 1, Digest: j.lines.digest(), Accepted: int64(j.accepted), Repeated: int64(j.repeated),
		Refused: int64(j.durable - j.accepted - j.repeated), Refusals: slices.Clone(j.refusals), Logged: int64(j.logged)}
	switch {
	case j.running:
		out.State = bulkRunning
	case j.complete:
		out.State = bulkComplete
	}
	if j.logged > 0 {
		position := j.position
		out.Position, received = &position, time.UnixMicro(j.received)
	}
	return out, received, true
}
