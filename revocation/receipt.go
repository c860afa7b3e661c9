package revocation

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rescindhq/rescind/events"
)

// Receipt is what a verifier says of itself: how far it is. It is not signed,
// and no more than a claim.
type Receipt struct {
	ID       string    // of the verifier: the same after a restart where it can be
	Name     string    // for people
	Instance string    // of the process: made up at each start
	Started  time.Time // by the verifier's clock
	At       time.Time // by the verifier's clock
	Feed     uint64    // as in Head
	Seq      uint64    // as in Head
	Places   []Reached // of each shard; none where there is no view yet
	Age      time.Duration
	Stopped  bool  // whether it is the last one: the verifier has stopped in order
	Doubt    Cause // why the verifier calls nothing active; "" where it does
}

// Reached is the position in one shard that a verifier decides at.
type Reached struct {
	Epoch    uint64 // as in Head
	Position uint64
}

// The bounds of what is in a Receipt, in bytes.
const (
	MaxVerifierID   = 64
	MaxVerifierName = 128
)

// The states of a receipt as it travels.
const (
	following = "following"
	stopped   = "stopped"
)

type wireReceipt struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Instance  string    `json:"instance"`
	Started   time.Time `json:"started"`
	At        time.Time `json:"at"`
	Feed      decimal   `json:"feed,omitempty"`
	Seq       uint64    `json:"seq,omitempty"`
	Epochs    []decimal `json:"epochs,omitempty"`
	Positions []uint64  `json:"positions,omitempty"`
	AgeMS     int64     `json:"age_ms"`
	State     string    `json:"state"`
	Doubt     Cause     `json:"doubt,omitempty"`
}

// decimal travels as a string: a number above 2^53 does not survive every
// reader of JSON.
type decimal uint64

func (d decimal) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(d), 10), nil }

func (d *decimal) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	*d = decimal(n)
	return err
}

// Marshal is r as it travels, in JSON.
func (r *Receipt) Marshal() ([]byte, error) {
	w := wireReceipt{ID: r.ID, Name: r.Name, Instance: r.Instance, Started: r.Started.UTC(), At: r.At.UTC(), Feed: decimal(r.Feed), Seq: r.Seq,
		AgeMS: r.Age.Milliseconds(), State: following, Doubt: r.Doubt}
	if r.Stopped {
		w.State = stopped
	}
	for _, p := range r.Places {
		w.Epochs, w.Positions = append(w.Epochs, decimal(p.Epoch)), append(w.Positions, p.Position)
	}
	data, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("marshal receipt: %w", err)
	}
	return data, nil
}

// ParseReceipt reads what Marshal wrote. Members that it does not know it
// passes over, so that a newer verifier can say more.
func ParseReceipt(data []byte) (Receipt, error) {
	var w wireReceipt
	if err := json.Unmarshal(data, &w); err != nil {
		return Receipt{}, fmt.Errorf("parse receipt: %w: not the JSON of one", ErrFormat)
	}
	if err := w.validate(); err != nil {
		return Receipt{}, fmt.Errorf("parse receipt: %w", err)
	}
	r := Receipt{ID: w.ID, Name: w.Name, Instance: w.Instance, Started: w.Started, At: w.At, Feed: uint64(w.Feed), Seq: w.Seq,
		Age: time.Duration(w.AgeMS) * time.Millisecond, Stopped: w.State == stopped, Doubt: w.Doubt}
	for k, epoch := range w.Epochs {
		r.Places = append(r.Places, Reached{Epoch: uint64(epoch), Position: w.Positions[k]})
	}
	return r, nil
}

// maxAge bounds the age that a receipt may say, so that it fits a Duration.
const maxAge = 100 * 365 * 24 * time.Hour

func (w *wireReceipt) validate() error {
	switch {
	case !ValidVerifierID(w.ID) || !ValidVerifierID(w.Instance):
		return fmt.Errorf("%w: id and instance: want 1 to %d of a-z A-Z 0-9 _ -", ErrFormat, MaxVerifierID)
	case !ValidVerifierName(w.Name):
		return fmt.Errorf("%w: name: want up to %d bytes that can be printed", ErrFormat, MaxVerifierName)
	case len(w.Epochs) != len(w.Positions) || len(w.Epochs) > events.MaxShards:
		return fmt.Errorf("%w: %d epochs and %d positions", ErrFormat, len(w.Epochs), len(w.Positions))
	case w.State != following && w.State != stopped:
		return fmt.Errorf("%w: unknown state", ErrFormat)
	case w.Doubt != "" && w.Doubt != CauseStale && w.Doubt != CauseGap && w.Doubt != CauseCold:
		return fmt.Errorf("%w: unknown doubt", ErrFormat)
	case !inRange(w.Started) || !inRange(w.At):
		return fmt.Errorf("%w: time out of range", ErrFormat)
	case w.AgeMS < 0 || w.AgeMS > maxAge.Milliseconds():
		return fmt.Errorf("%w: age %d ms", ErrFormat, w.AgeMS)
	default:
		return nil
	}
}

// inRange reports whether t can be written in UTC as RFC 3339.
func inRange(t time.Time) bool { y := t.UTC().Year(); return y >= 0 && y <= 9999 }

// ValidVerifierID reports whether s can be the id of a verifier: a token of a
// subject that needs no quoting anywhere.
func ValidVerifierID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= MaxVerifierID
}

// ValidVerifierName reports whether s can be the name of a verifier.
func ValidVerifierName(s string) bool {
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return len(s) <= MaxVerifierName && utf8.ValidString(s)
}
