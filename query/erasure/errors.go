package erasure

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound says that there is no such request within reach.
	ErrNotFound = errors.New("no such request")

	// ErrFourEyes says that an approval needs somebody else.
	ErrFourEyes = errors.New("who received or verified a request cannot approve it")

	// ErrPending says that an event is durable but not on the log yet: what
	// becomes of it will be seen by reading the request again.
	ErrPending = errors.New("recorded, but not on the log yet")
)

// ErrTooLate says that the time in which something could be done is over.
var ErrTooLate = errors.New("too late")

// errNotOurs says that an event is not one that changes a request.
var errNotOurs = errors.New("not an event of the workflow")

// MemberError says which member of what was asked is not acceptable.
type MemberError struct {
	Member string
	Detail string // what would be right
}

func (e *MemberError) Error() string { return e.Member + ": " + e.Detail }

// StateError says that a request's state does not allow what was asked.
type StateError struct {
	State State // as it stands
	To    State // as it was asked to be
}

func (e *StateError) Error() string {
	switch {
	case e.State == e.To:
		return fmt.Sprintf("the request is %s already", e.State)
	case e.To == State(Exported):
		return fmt.Sprintf("a request that is %s has no export: it is made once it was approved, and is there when it is completed: exported", e.State)
	}
	return fmt.Sprintf("a request that is %s cannot become %s", e.State, e.To)
}
