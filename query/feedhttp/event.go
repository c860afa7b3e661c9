package feedhttp

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// The types of events.
const (
	EventDelta     = "delta"     // a delta with entries
	EventHeartbeat = "heartbeat" // one without
	EventReset     = "reset"     // what followed the position is not to be had
)

// Delta is the data of a delta or heartbeat: the message as it was signed, and
// what it says. Numbers that may be above 2^53 are decimal strings.
type Delta struct {
	Message []byte   `json:"message"` // 64 bytes of signature, then CBOR
	Feed    string   `json:"feed"`
	Seq     uint64   `json:"seq"`
	Prev    uint64   `json:"prev"`
	Time    int64    `json:"time"` // µs
	Shards  []Shard  `json:"shards"`
	Entries []Change `json:"entries,omitempty"`
}

// Shard is how far the log of one shard is in the feed.
type Shard struct {
	Epoch    string `json:"epoch"`
	Position uint64 `json:"position"`
	LogSeq   uint64 `json:"log_seq"`
}

// Change is one revocation, or the lifting of one.
type Change struct {
	Hash         events.Ref       `json:"hash"`
	Index        uint64           `json:"index"` // place of the revocation in the log of its tenant's shard
	Lift         bool             `json:"lift,omitempty"`
	Scope        events.Scope     `json:"scope,omitempty"`
	IssuedBefore events.Timestamp `json:"issued_before,omitempty"`
	Starts       events.Timestamp `json:"starts,omitempty"`
	Expires      events.Timestamp `json:"expires,omitempty"`
	At           events.Timestamp `json:"at,omitempty"`
	Reason       string           `json:"reason,omitempty"`
	Tenant       string           `json:"tenant,omitempty"`
	Generation   uint32           `json:"generation,omitempty"`
}

// Reset is the data of a reset.
type Reset struct {
	Snapshot string `json:"snapshot"` // where to begin anew
}

func change(e *revocation.Entry) Change {
	return Change{Hash: e.Hash, Index: e.Index, Lift: e.Lift, Scope: e.Scope, IssuedBefore: e.IssuedBefore, Starts: e.Starts, Expires: e.Expires, At: e.At,
		Reason: e.Reason, Tenant: e.Key.Tenant, Generation: e.Key.Generation}
}

// event is d as a stream is sent it.
func event(d *revocation.Delta, message []byte) []byte {
	name, data := EventHeartbeat, Delta{Message: message, Feed: strconv.FormatUint(d.Feed, 10), Seq: d.Seq, Prev: d.Prev, Time: d.Time}
	for k := range uint16(d.Shards()) {
		at := d.Place(k)
		data.Shards = append(data.Shards, Shard{strconv.FormatUint(at.Epoch, 10), at.Position, at.LogSeq})
	}
	for i := range d.Entries {
		name = EventDelta
		data.Entries = append(data.Entries, change(&d.Entries[i]))
	}
	return frame(name, position{feed: d.Feed, seq: d.Seq}.String(), data)
}

// frame is one event of a stream. One without an id leaves the one before it in
// force.
func frame(name, id string, data any) []byte {
	line, err := json.Marshal(data)
	if err != nil {
		panic(err) // these types always have a JSON form
	}
	var b []byte
	if id != "" {
		b = fmt.Appendf(b, "id: %s\n", id)
	}
	return fmt.Appendf(b, "event: %s\ndata: %s\n\n", name, line)
}
