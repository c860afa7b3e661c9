package query

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/dsr"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/proposal"
)

// problemOf is the one place where an error becomes an answer. What is not
// known here shows nothing.
func problemOf(err error) Problem {
	for _, answer := range answers {
		if p, known := answer(err); known {
			return p
		}
	}
	return problem(KindUnavailable, http.StatusServiceUnavailable, "cannot be done now", "try again")
}

// answer is what one error, or one type of them, comes to.
type answer func(err error) (p Problem, known bool)

// answers is tried in this order: the first that knows an error has it.
var answers = []answer{
	as(func(e *problemError) Problem {
		return Problem{Type: string(e.kind), Status: e.status, Title: e.title, Detail: e.detail, Member: e.member}
	}),
	as(func(e *tokenError) Problem {
		return problem(KindToken, http.StatusUnauthorized, "no valid access token", cmp.Or(e.reason, "send Authorization: Bearer with an access token"))
	}),
	as(func(e *scopeError) Problem {
		return problem(KindScope, http.StatusForbidden, "the token lacks a scope", "want "+strings.Join(e.want, " or "))
	}),
	as(refused),
	as(func(e *shareError) Problem {
		return problem(KindShare, http.StatusTooManyRequests, "too many at once", e.Error())
	}),
	as(func(e *erasure.StateError) Problem { return conflict("not in this state", e.Error()) }),
	as(func(e *erasure.EarlyError) Problem {
		return conflict("no receipt yet", e.Error()+": there is one once it was approved and carried out")
	}),
	is(notFound("no receipt", "a receipt is made of erasures that are carried out, and of nothing else"), erasure.ErrNoReceipt),
	as(func(e *erasure.MemberError) Problem { return notAcceptable(e.Member, e.Detail) }),
	as(func(e *hold.MemberError) Problem { return notAcceptable(e.Member, e.Detail) }),
	is(fourEyes(hold.ErrFourEyes), hold.ErrFourEyes),
	is(conflict("not in this state", hold.ErrReleased.Error()), hold.ErrReleased),
	is(conflict("nobody to let be known again", "want somebody who was forgotten, whose erasure is finished"), seal.ErrLiving, seal.ErrErasing),
	as(func(e *dsr.Fault) Problem { return notAcceptable(e.Member, e.Detail) }),
	is(Problem{Type: string(KindTaken), Status: http.StatusConflict, Title: "the id is taken", Detail: erasure.ErrTaken.Error(),
		Member: "subject_request_id"}, erasure.ErrTaken),
	is(conflict("too many are told of it", "send it without status_callback_urls, and ask for its status"), erasure.ErrManyAsks),
	func(err error) (Problem, bool) {
		return conflict("too late", err.Error()), errors.Is(err, erasure.ErrTooLate)
	},
	as(func(e *proposal.StateError) Problem { return conflict("not in this state", e.Error()) }),
	is(fourEyes(proposal.ErrFourEyes), proposal.ErrFourEyes),
	is(fourEyes(erasure.ErrFourEyes), erasure.ErrFourEyes),
	is(problem(KindPending, http.StatusServiceUnavailable, errPending.title, errPending.detail), erasure.ErrPending),
	is(notFound("no export", "there is none, or no more: its time is over, a newer link has replaced this one, or the person was erased; ask whoever sent the link"),
		export.ErrGone),
	is(notFound("not found", "there is none that your token reaches"), erasure.ErrNotFound, hold.ErrNotFound, proposal.ErrNotFound, ErrNotFound),
	as(func(*http.MaxBytesError) Problem {
		return problem(errTooLarge.kind, errTooLarge.status, errTooLarge.title, errTooLarge.detail)
	}),
	as(webProblem),
	is(Problem{Type: string(KindParameter), Status: http.StatusBadRequest, Title: "a parameter is not acceptable",
		Detail: "want the id of an event, or a snapshot's feed and seq, as 123-45", Member: "Last-Event-ID"}, feedhttp.ErrPosition),
	is(problem(KindInternal, http.StatusInternalServerError, "a fault of ours", ""), errDefect),
}

// as answers an error that is or wraps an E.
func as[E error](say func(E) Problem) answer {
	return func(err error) (Problem, bool) {
		var e E
		if !errors.As(err, &e) {
			return Problem{}, false
		}
		return say(e), true
	}
}

// is answers an error that is or wraps one of these.
func is(p Problem, these ...error) answer {
	return func(err error) (Problem, bool) {
		return p, slices.ContainsFunc(these, func(this error) bool { return errors.Is(err, this) })
	}
}

func problem(k Kind, status int, title, detail string) Problem {
	return Problem{Type: string(k), Status: status, Title: title, Detail: detail}
}

func conflict(title, detail string) Problem {
	return problem(KindState, http.StatusConflict, title, detail)
}

func notFound(title, detail string) Problem {
	return problem(KindNotFound, http.StatusNotFound, title, detail)
}

func fourEyes(err error) Problem {
	return problem(KindFourEyes, http.StatusForbidden, "somebody else has to", err.Error())
}

func notAcceptable(member, detail string) Problem {
	return Problem{Type: string(KindInvalid), Status: http.StatusUnprocessableEntity, Title: "a member is not acceptable", Detail: detail, Member: member}
}

// refused is an event that the intake would not take.
func refused(r *events.Refusal) Problem {
	p := problem(KindRefused, http.StatusUnprocessableEntity, "the event would be refused", r.Detail)
	p.Reason = string(r.Reason)
	return p
}

// webProblem is an error of the router or of the binding of parameters. Its
// message may repeat input, so only the name of a parameter is taken.
func webProblem(e *echo.HTTPError) Problem {
	switch e.Code {
	case http.StatusNotFound:
		return problem(KindNotFound, e.Code, "not found", "there is no such route")
	case http.StatusMethodNotAllowed:
		return problem(KindMethod, e.Code, "method not allowed", "see Allow")
	case http.StatusBadRequest:
		p := problem(KindParameter, e.Code, "a parameter is not acceptable", "it has the wrong shape")
		msg, _, _ := strings.Cut(fmt.Sprint(e.Message), ":")
		if name, ok := strings.CutPrefix(msg, "Invalid format for parameter "); ok {
			p.Member = name
		}
		return p
	default:
		return problem(KindInternal, http.StatusInternalServerError, "a fault of ours", "")
	}
}

// errDefect marks what can only be a fault of ours: a panic.
var errDefect = errors.New("defect")
