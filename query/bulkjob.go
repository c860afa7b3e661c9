package query

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"

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

// jobID is what the ids of all lines of a job share.
type jobID [12]byte

// jobOf is the jobID of a job: the time of its UUID, and 42 bits of its hash.
func jobOf(job uuid.UUID) (id jobID) {
	sum := sha256.Sum256(job[:])
	copy(id[:6], job[:6])
	copy(id[6:], sum[:6])
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f // version 7, and the variant
	return id
}

// line is the id of the event that a line makes: of a repeated line the same, so
// that it revokes nothing twice.
func (id jobID) line(n uint32) string {
	var u uuid.UUID
	copy(u[:], id[:])
	binary.BigEndian.PutUint32(u[12:], n)
	return u.String()
}

// lineOf is the job and the line that made an event with that id.
func lineOf(id string) (job jobID, n uint32, ok bool) {
	u, err := uuid.Parse(id)
	if err != nil {
		return job, 0, false
	}
	copy(job[:], u[:12])
	return job, binary.BigEndian.Uint32(u[12:]), true
}

// jobKey tells jobs apart: one of another tenant is another.
type jobKey struct {
	tenant string
	id     jobID
}

// bulkJob is how far one job is. What is in the log is folded from it, and
// outlives us; what was refused, and why, does not.
type bulkJob struct {
	durable  uint32 // up to this line each was accepted or refused
	accepted uint32 // of those
	running  bool   // lines are being read, here
	complete bool   // all lines were, here
	refusals []BulkRefusal

	logged   uint32            // its revocations in the log
	position uint64            // of the last of them
	last     uint32            // batch of the furthest of them
	recent   map[uint32]uint32 // batch -> its revocations in the log, of the last batches
}

// bulk is the last jobs.
type bulk struct {
	mu    sync.Mutex // for the rest
	jobs  map[jobKey]*bulkJob
	order []jobKey // the oldest first
}

func newBulk() *bulk { return &bulk{jobs: make(map[jobKey]*bulkJob)} }

// get is a job, made where there is none. The oldest that is not running makes
// room for it.
func (b *bulk) get(k jobKey) *bulkJob {
	if j := b.jobs[k]; j != nil {
		return j
	}
	if len(b.order) >= bulkJobs {
		i := slices.IndexFunc(b.order, func(k jobKey) bool { return !b.jobs[k].running })
		delete(b.jobs, b.order[i])
		b.order = slices.Delete(b.order, i, i+1)
	}
	j := &bulkJob{recent: make(map[uint32]uint32)}
	b.jobs[k], b.order = j, append(b.order, k)
	return j
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
	j.position = e.Index
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

// begin lets one request read the lines of a job from line from on.
func (b *bulk) begin(k jobKey, from uint32) (*bulkJob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	running := 0
	for _, j := range b.jobs {
		if j.running {
			running++
		}
	}
	if running >= bulkAtOnce {
		return nil, errBulkBusy
	}
	j := b.get(k)
	switch {
	case j.running:
		return nil, bulkState("its lines are being read already")
	case from > j.durable+1:
		return nil, bulkState("line %d is the next: what is before yours may not be durable", j.durable+1)
	}
	j.running = true
	return j, nil
}

// end is called once for each begin.
func (b *bulk) end(j *bulkJob, complete bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.running, j.complete = false, j.complete || complete
}

// done notes that a batch up to line last is durable, but for those refused.
// Batches are noted in their order.
func (b *bulk) done(j *bulkJob, last, accepted uint32, refused []BulkRefusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.durable, j.accepted = last, j.accepted+accepted
	j.refusals = append(j.refusals, refused[:min(len(refused), bulkShown-len(j.refusals))]...)
}

// durable is up to which line a job is.
func (b *bulk) durable(j *bulkJob) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return j.durable
}

// show is how far a job is; false where there is none.
func (b *bulk) show(k jobKey) (out BulkJob, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.jobs[k]
	if j == nil {
		return out, false
	}
	out = BulkJob{Tenant: k.tenant, State: bulkOpen, Next: int64(j.durable) + 1, Accepted: int64(j.accepted),
		Refused: int64(j.durable - j.accepted), Refusals: slices.Clone(j.refusals), Logged: int64(j.logged)}
	switch {
	case j.running:
		out.State = bulkRunning
	case j.complete:
		out.State = bulkComplete
	}
	if j.logged > 0 {
		position := j.position
		out.Position = &position
	}
	return out, true
}
