package query

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/rescindhq/rescind/events"
)

// Kind is the stable name of a kind of problem: the last part of its type.
type Kind string

// The kinds, each with the one status that it has.
const (
	KindBody         Kind = "body"              // 400 cannot be read as what it says it is
	KindCursor       Kind = "cursor"            // 400 not one of ours, or of another query
	KindParameter    Kind = "parameter"         // 400 of path or query
	KindToken        Kind = "token"             // 401
	KindScope        Kind = "scope"             // 403 the token lacks a scope
	KindTenant       Kind = "tenant"            // 403 the token does not reach that tenant
	KindFourEyes     Kind = "four-eyes"         // 403 somebody else has to
	KindNotFound     Kind = "not-found"         // 404
	KindMethod       Kind = "method"            // 405
	KindState        Kind = "state"             // 409
	KindTaken        Kind = "taken"             // 409 another request was sent under this id
	KindApproval     Kind = "approval-required" // 409 a second person has to approve it
	KindAmbiguous    Kind = "ambiguous"         // 409 an id names things of several tenants
	KindTooLarge     Kind = "too-large"         // 413
	KindContentType  Kind = "content-type"      // 415
	KindInvalid      Kind = "invalid"           // 422 a member is not acceptable
	KindRefused      Kind = "refused"           // 422 the event that it would make is not acceptable
	KindShare        Kind = "share"             // 429 one caller does as much of it as it may
	KindInternal     Kind = "internal"          // 500
	KindPending      Kind = "pending"           // 503 durable, outcome not seen yet
	KindUnavailable  Kind = "unavailable"       // 503
	KindAuditMissing Kind = "audit-missing"     // 503 could not be recorded, so it was not done
)

// kindPrefix makes a Kind a URI.
const kindPrefix = "urn:rescind:problem:"

// problemError is a fault that its caller may know all of.
type problemError struct {
	kind   Kind
	status int
	title  string
	detail string
	member string
}

func (e *problemError) Error() string { return e.title + ": " + e.detail }

func invalid(member, format string, args ...any) error {
	return &problemError{KindInvalid, http.StatusUnprocessableEntity, "a member is not acceptable", fmt.Sprintf(format, args...), member}
}

func badBody(format string, args ...any) error {
	return &problemError{KindBody, http.StatusBadRequest, "the body cannot be read", fmt.Sprintf(format, args...), ""}
}

var (
	errTenant   = &problemError{KindTenant, http.StatusForbidden, "the token does not reach this tenant", "its claim tenants does not name it", "tenant"}
	errTooLarge = &problemError{KindTooLarge, http.StatusRequestEntityTooLarge, "the body is too large", fmt.Sprintf("the limit is %d bytes", events.MaxMessageBytes), ""}
	errCursor   = &problemError{KindCursor, http.StatusBadRequest, "the cursor cannot be used", "send the next of an answer to the same query, unchanged", "cursor"}
	errAudit    = &problemError{KindAuditMissing, http.StatusServiceUnavailable, "the access could not be recorded", "nothing was opened; try again", ""}
	errPending  = &problemError{KindPending, http.StatusServiceUnavailable, "recorded, outcome not seen yet", "read it again in a moment before doing it again", ""}
	errMany     = &problemError{KindAmbiguous, http.StatusConflict, "the id names several revocations", "name the tenant, and the source or the position", "id"}
)

// tokenError is a missing or unacceptable access token. Reason is empty where
// there was none (RFC 6750 section 3.1).
type tokenError struct{ reason string }

func (e *tokenError) Error() string { return "access token: " + e.reason }

// scopeError is a token without any of the scopes that would do.
type scopeError struct{ want []string }

func (e *scopeError) Error() string {
	return "access token lacks scope " + strings.Join(e.want, " or ")
}
