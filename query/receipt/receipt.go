package receipt

import (
	"time"
)

// Version is the version of what Sign writes.
const Version = 1

// Method is how what was erased was erased.
const Method = "destruction of the only key"

// The outcomes of which there is a receipt.
const (
	Erased        = "erased"
	AlreadyErased = "already_erased" // another request was first
	NoMatch       = "no_match"       // nothing was known of the subject but the request
	Partial       = "partial"        // but for what is kept or who was not told yet
)

// Receipt is what is signed. The order of its members is that of its JSON, and
// fixed: a change is another Version.
type Receipt struct {
	Version     int       `json:"version"`
	Request     string    `json:"request"` // its id
	Tenant      string    `json:"tenant"`
	Environment string    `json:"environment"`
	Regulation  string    `json:"regulation"`
	Commitment  string    `json:"commitment,omitempty"` // to the subject: see Commitment
	Received    time.Time `json:"received"`
	Due         time.Time `json:"due"`
	Extended    bool      `json:"extended,omitempty"`
	Decisions   []Step    `json:"decisions"`

	Outcome    string       `json:"outcome"`
	Destroyed  *Destroyed   `json:"destroyed,omitempty"`
	Tokens     *Tokens      `json:"tokens,omitempty"`
	Kept       *Kept        `json:"kept,omitempty"`
	Recipients []Recipient  `json:"recipients"`
	More       int          `json:"more_recipients,omitempty"` // than are named
	Missing    []string     `json:"missing,omitempty"`         // of a partial one: what it waits for
	Residue    *Residue     `json:"residue,omitempty"`
	Remains    []Remain     `json:"remains"`
	Log        *Checkpoints `json:"log,omitempty"`
	Issued     time.Time    `json:"issued"`
}

// Step is something that was decided, and a pseudonym of who did: the same name
// within one receipt for the same person, and in no other receipt.
type Step struct {
	What string    `json:"what"` // received, verified, extended or approved
	At   time.Time `json:"at"`
	By   string    `json:"by,omitempty"`
}

// Destroyed is what cannot be read by anybody any more.
type Destroyed struct {
	Method string    `json:"method"`
	At     time.Time `json:"at"`            // when it was on the log that it had been done
	Key    string    `json:"key,omitempty"` // the mark that the key leaves in the keyring: a hash of it

	Repetition *Repetition `json:"repetition,omitempty"` // of what had been destroyed before
}

// Repetition is that a key had been destroyed before, and a restored copy of the
// data has brought it back, or has lost that it was. What was destroyed is so again.
type Repetition struct {
	First time.Time `json:"first"` // when it was destroyed first, as the erasure ledger has it
	Found time.Time `json:"found"` // when it was on the log that it was found, before anything was served
}

// Tokens is what is refused from now on.
type Tokens struct {
	IssuedUntil time.Time `json:"issued_until"`   // every token of the subject that was issued until then
	Live        *uint64   `json:"live,omitempty"` // how many of them had not expired, where that is known
}

// Kept is what legal holds keep.
type Kept struct {
	Parts int    `json:"parts"` // personal parts of events
	Holds []Hold `json:"holds"`
	More  int    `json:"more_holds,omitempty"` // than are named
}

// Hold is why something is kept.
type Hold struct {
	ID      string `json:"hold"`
	Article string `json:"article"`
	Review  string `json:"review"` // the day by which it is looked at again
	Parts   int    `json:"parts"`
}

// Recipient is somebody who had got the subject's data, and what they said when
// they were told.
type Recipient struct {
	ID     string    `json:"recipient"`
	State  string    `json:"state"`
	At     time.Time `json:"at,omitzero"`
	Answer string    `json:"answer,omitempty"`
}

// Residue is until when copies of the keyring from before can be read by whoever
// has them and the root's keys as well. An erasure without one was carried out while an
// epoch of the keyring kept its key beyond its time: then nobody could say.
type Residue struct {
	UnreadableFrom time.Time `json:"unreadable_from,omitzero"`
	Never          bool      `json:"never,omitempty"` // the root cannot destroy keys
}

// Remain is something that is still there.
type Remain struct {
	What string `json:"what"`
	Text string `json:"text"`
}

// Remains is what is there after every erasure.
func Remains() []Remain {
	return []Remain{
		{"records", "that events happened, when, and at which client, under a random reference that leads to nobody"},
		{"sealed_parts", "the personal data as it was encrypted, until its retention ends: the only key is gone"},
		{"revocations", "a keyed hash by which the old tokens are refused, until the last of them would have expired"},
		{"fence", "a keyed hash of who it was, which keeps them from being recorded anew"},
		{"key_mark", "a hash of the key that was destroyed, by which it is noticed when somebody puts it back"},
		{"request", "the request: when, who decided, and this receipt"},
	}
}

// Checkpoints are where the log stood.
type Checkpoints struct {
	Shard  uint16      `json:"shard"`
	Before Checkpoint  `json:"before"`          // as of the approval
	After  *Checkpoint `json:"after,omitempty"` // as of the statement that the key was destroyed
}

// Checkpoint is a tree of RFC 6962.
type Checkpoint struct {
	Size uint64 `json:"size"`
	Root string `json:"root"` // base64, as in a C2SP checkpoint
}
