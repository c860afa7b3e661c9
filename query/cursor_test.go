package query

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

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

func TestCursorComesBack(t *testing.T) {
	t.Parallel()
	for _, at := range []uint64{0, 1, 1 << 40, ^uint64(0)} {
		c, err := newCursor("query", at)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseCursor("query", c)
		if err != nil || *got != at {
			t.Errorf("%d came back as %v, %v", at, got, err)
		}
		if _, err := parseCursor("another", c); !errors.Is(err, errCursor) {
			t.Errorf("accepted for another query: %v", err)
		}
	}
	if got, err := parseCursor("query", ""); got != nil || err != nil {
		t.Errorf("no cursor: %v, %v", got, err)
	}
}

func FuzzCursor(f *testing.F) {
	good, err := newCursor("query", 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("")
	f.Add(strings.Repeat("A", 300))
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseCursor("query", s)
		if err != nil || at == nil {
			return
		}
		again, err := newCursor("query", *at)
		if err != nil || again != s {
			t.Fatalf("%q is a second spelling of %q", s, again)
		}
	})
}

func FuzzClaimsOf(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpIn0.c2ln")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		k, err := claimsOf(token)
		if (k == nil) == (err == nil) {
			t.Fatalf("%v, %v", k, err)
		}
	})
}

// TestProblems is the one place where an error becomes an answer, row by row.
func TestProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		kind   Kind
		status int
	}{
		{invalid("m", "d"), KindInvalid, 422},
		{badBody("d"), KindBody, 400},
		{errTenant, KindTenant, 403},
		{errTooLarge, KindTooLarge, 413},
		{&http.MaxBytesError{}, KindTooLarge, 413},
		{errCursor, KindCursor, 400},
		{&unrecorded{io.EOF}, KindAuditMissing, 503},
		{errMany, KindAmbiguous, 409},
		{&tokenError{}, KindToken, 401},
		{&scopeError{[]string{"a"}}, KindScope, 403},
		{&events.Refusal{Reason: events.ReasonExposed}, KindRefused, 422},
		{&shareError{newShare("caller", "jobs", 1, time.Second)}, KindShare, 429},
		{&erasure.StateError{State: erasure.Denied, To: erasure.Approved}, KindState, 409},
		{&erasure.EarlyError{State: erasure.Verified}, KindState, 409},
		{&proposal.StateError{}, KindState, 409},
		{hold.ErrReleased, KindState, 409},
		{seal.ErrLiving, KindState, 409},
		{seal.ErrErasing, KindState, 409},
		{erasure.ErrManyAsks, KindState, 409},
		{fmt.Errorf("%w: x", erasure.ErrTooLate), KindState, 409},
		{erasure.ErrTaken, KindTaken, 409},
		{&erasure.MemberError{Member: "m", Detail: "d"}, KindInvalid, 422},
		{&hold.MemberError{Member: "m", Detail: "d"}, KindInvalid, 422},
		{&dsr.Fault{Member: "m", Detail: "d"}, KindInvalid, 422},
		{hold.ErrFourEyes, KindFourEyes, 403},
		{proposal.ErrFourEyes, KindFourEyes, 403},
		{erasure.ErrFourEyes, KindFourEyes, 403},
		{fmt.Errorf("x: %w", erasure.ErrPending), KindPending, 503},
		{erasure.ErrNoReceipt, KindNotFound, 404},
		{export.ErrGone, KindNotFound, 404},
		{hold.ErrNotFound, KindNotFound, 404},
		{proposal.ErrNotFound, KindNotFound, 404},
		{erasure.ErrNotFound, KindNotFound, 404},
		{ErrNotFound, KindNotFound, 404},
		{feedhttp.ErrPosition, KindParameter, 400},
		{echo.ErrNotFound, KindNotFound, 404},
		{echo.ErrMethodNotAllowed, KindMethod, 405},
		{echo.NewHTTPError(400, "Invalid format for parameter limit: secret"), KindParameter, 400},
		{echo.NewHTTPError(418, "secret"), KindInternal, 500},
		{errDefect, KindInternal, 500},
		{notTaken{&events.Refusal{}}, KindUnavailable, 503},
		{errors.New("secret at 10.0.0.1"), KindUnavailable, 503},
	} {
		p := problemOf(fmt.Errorf("wrapped: %w", c.err))
		if p.Type != string(c.kind) || p.Status != c.status || p.Title == "" {
			t.Errorf("%v: %+v, want %s %d", c.err, p, c.kind, c.status)
		}
		if strings.Contains(fmt.Sprint(p), "secret") {
			t.Errorf("%v: shows %+v", c.err, p)
		}
	}
}
