package export

import (
	"time"
)

// Schema is the JSON Schema of export.json; that of the files of events is its
// definition events.
const Schema = "https://rescind.dev/schemas/export.schema.json"

// Document is export.json: all of an export but for the events.
type Document struct {
	Format     string    `json:"format"` // Schema
	Kind       string    `json:"kind"`
	Tenant     string    `json:"tenant"`
	Subject    Subject   `json:"subject"`
	Request    Asking    `json:"request"`
	Made       time.Time `json:"made"`
	Shard      uint16    `json:"shard"`
	Position   uint64    `json:"position"` // everything below this index of the log is in the files
	Count      int       `json:"count"`    // of events
	Files      []File    `json:"files"`    // of events, in their order
	Dropped    int       `json:"dropped"`
	Unreadable int       `json:"unreadable"`
	LeftOut    []string  `json:"left_out"`
	Access     *Facts    `json:"access,omitempty"` // of an access
}

// Subject is whose export it is.
type Subject struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

// Asking is the request that is answered.
type Asking struct {
	ID         string    `json:"id"`
	Regulation string    `json:"regulation"`
	Received   time.Time `json:"received"`
}

// File is one file of events.
type File struct {
	Name   string `json:"name"`
	Count  int    `json:"count"`
	SHA256 string `json:"sha256"`
}

// Events is a file of events.
type Events struct {
	Format string `json:"format"` // Schema
	Events []Item `json:"events"`
}

// Facts is what article 15(1) asks for beside the data.
type Facts struct {
	Statement  string   `json:"statement,omitempty"`
	Categories []Tally  `json:"categories"`
	Purposes   []string `json:"purposes"`  // that consent was given for
	Audiences  []string `json:"audiences"` // recipients of tokens
	Clients    []string `json:"clients"`   // recipients of tokens
	Sources    []string `json:"sources"`   // who told us
	More       bool     `json:"more"`      // a list above was cut off: the files have the rest
	Readings   int      `json:"readings"`  // how often personal parts were opened or exported
	Recipients []string `json:"recipients"`
	Retention  []string `json:"retention"`
	Rights     []string `json:"rights"`
	Requests   []Asked  `json:"requests"`
	Holds      []Hold   `json:"holds"`
	Restricted string   `json:"restricted_by,omitempty"`
}

// Tally is how many events there are of a type.
type Tally struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}

// What is the same in every access.
var (
	recipients = []string{
		"the applications and services that the tokens were made for: see audiences and clients",
		"whoever verified a token: see sources",
		"staff of the controller who may open personal data, each time for a purpose that is recorded: see the events audit.accessed and audit.exported",
	}
	retention = []string{
		"what happened is kept as a record without your identifiers, for as long as the controller is accountable for it",
		"what identifies you is kept encrypted, and can be read until you are forgotten or its retention ends",
		"what a legal hold keeps can be read until the hold is released: see holds",
	}
	rights = []string{
		"rectification (GDPR article 16), erasure (17), restriction (18), portability (20) and objection (21)",
		"complaint to a supervisory authority (77)",
	}
	leftOut = []string{
		"names of other people: an actor is you, service, or staff or issuer (GDPR article 15(4))",
		"the keyed hashes and references that records hold instead of identifiers: the identifiers themselves are here",
		"messages that were refused at the door and are in quarantine: they were never recorded as events",
	}
	leftOutPortable = []string{
		"what others wrote or decided: this is what you provided and what was observed of what you did (GDPR article 20(1)); ask for access to see the rest",
	}
)
