package query

import (
	"crypto/sha256"

	"github.com/google/uuid"
)

// jobID is what the ids of all lines of a job share.
type jobID [10]byte

// jobOf is the jobID of a job: the time of its UUID, and 26 bits of its hash.
func jobOf(job uuid.UUID) (id jobID) {
	sum := sha256.Sum256(job[:])
	copy(id[:6], job[:6])
	copy(id[6:], sum[:4])
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f // version 7, and the variant
	return id
}

// lineSum tells the lines of a job apart.
type lineSum [16]byte

// sumOf is the same for the same line of the same job, and says nothing of the
// line to who does not know the job's UUID, whose random bits are the key. Ids are
// on the log for good, unsealed: by a plain hash in them somebody who was forgotten
// could be told from others still.
func sumOf(job uuid.UUID, line []byte) (s lineSum) {
	h := sha256.New()
	_, _ = h.Write(job[:]) // a hash does not fail
	_, _ = h.Write(line)
	var sum [sha256.Size]byte
	copy(s[:], h.Sum(sum[:0]))
	return s
}

// line is the id of the event that line n makes: of a line that is sent again
// the same, so that it revokes nothing twice; of another line under its number
// another, so that it is not taken for that one.
func (id jobID) line(n uint32, sum lineSum) string {
	var u uuid.UUID
	copy(u[:], id[:])
	u[10], u[11], u[12] = byte(n>>16), byte(n>>8), byte(n)
	copy(u[13:], sum[:])
	return u.String()
}

// lineOf is the job and the line that made an event with that id.
func lineOf(id string) (job jobID, n uint32, ok bool) {
	u, err := uuid.Parse(id)
	if err != nil {
		return job, 0, false
	}
	copy(job[:], u[:])
	return job, uint32(u[10])<<16 | uint32(u[11])<<8 | uint32(u[12]), true
}
