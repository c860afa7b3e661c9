package export

import (
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// Order is an approved request: whose data, and what is known of them beside
// their events.
type Order struct {
	Request, Kind, Regulation string
	Tenant, Issuer, Subject   string
	Ref                       events.Ref // of the person
	Shard                     uint16     // of the tenant
	End                       uint64     // of its log, that the archive has to have: see Office.End
	Received                  time.Time

	Requests   []Asked // of the person, this one too
	Holds      []Hold  // that can keep something of theirs
	Restricted string  // request by which nobody opens their data; empty where anybody may
}

// Asked is a request that the person made.
type Asked struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Regulation string    `json:"regulation"`
	State      string    `json:"state"`
	Outcome    string    `json:"outcome,omitempty"`
	Reason     string    `json:"reason,omitempty"` // of a denial
	Received   time.Time `json:"received"`
	Due        time.Time `json:"due"`
	Answered   time.Time `json:"answered,omitzero"`
}

// Hold is a legal hold on the person's data.
type Hold struct {
	Article  string    `json:"article"`
	Placed   time.Time `json:"placed"`
	Review   time.Time `json:"review"`
	Released time.Time `json:"released,omitzero"`
}

// Made is an export that is stored whole.
type Made struct {
	Place    stream.ExportPlace
	Until    time.Time // when it can be fetched no longer
	Events   int
	Position uint64 // everything below this index of the log is in it
}
