package forgotten

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/internal/canary"
	"github.com/rescindhq/rescind/revocation/guard"
)

// TestE01TheLogVerifiesAfterErasure: leaves are of what is sealed. The whole log,
// the tables and the feed are what they were after one, a hundred and all are
// forgotten, and no message of the log is another.
func TestE01TheLogVerifiesAfterErasure(t *testing.T) {
	t.Parallel()
	f := story(t)
	for _, who := range []string{"nobody", "one", "hundred", "everybody"} {
		r := f.proof[who]
		if !r.Clean || r.Log.Records == 0 || r.Log.Root == "" {
			t.Errorf("%s forgotten: %+v", who, r)
		}
	}
	was := f.log["before"]
	for moment, is := range f.log {
		if len(is) < len(was) || !slices.Equal(is[:len(was)], was) {
			t.Errorf("%s: the log is not what it was", moment)
		}
	}
	if one, all := f.proof["one"].Log, f.proof["everybody"].Log; len(was) < 3 || all.Records < one.Records+3*uint64(len(f.everyone)) {
		t.Errorf("little happened: %d messages, %d and %d records", len(was), one.Records, all.Records)
	}
}

// TestE02NoByteOfTheForgotten: nothing of them is on the disk in clear or in a
// usual form, in the stores of NATS, in ClickHouse's tables, logs and temporary files, in our
// logs, in what verifiers keep and what the API answered.
func TestE02NoByteOfTheForgotten(t *testing.T) {
	t.Parallel()
	f := story(t)
	for moment, hits := range f.hits {
		if len(hits) != 0 {
			t.Errorf("%s: %v", moment, hits)
		}
	}
	for _, place := range []string{"RESCIND_LOG", ".bin", "answers"} { // by the same search
		if !slices.ContainsFunc(f.shown, func(h canary.Hit) bool { return strings.Contains(h.Path, place) }) {
			t.Errorf("what is there in clear is not found in %s: %v", place, f.shown)
		}
	}
	if n := len(f.trail["before"].Events); n < 4 {
		t.Errorf("%d events of theirs", n)
	}
	for _, e := range f.trail["released"].Events {
		if len(e.Personal) != 0 {
			t.Errorf("%s at %d opens", e.Type, e.Index)
		}
	}
}

// TestE05WhatABackupOfTheTablesBringsBackDoesNotOpen: rows that were deleted are
// there again, and say nothing.
func TestE05WhatABackupOfTheTablesBringsBackDoesNotOpen(t *testing.T) {
	t.Parallel()
	f := story(t)
	if before, after := f.parts["held"], f.parts["restored"]; before < 5 || after != before {
		t.Errorf("%d parts of theirs before they were deleted, %d after the restore", before, after)
	}
	opens := func(moment string) (out []uint64) {
		for _, e := range f.trail[moment].Events {
			if len(e.Personal) > 0 {
				out = append(out, e.Index)
			}
		}
		return out
	}
	if held, restored := opens("held"), opens("restored"); len(held) == 0 || !slices.Equal(held, restored) {
		t.Errorf("before the restore %v open, after it %v", held, restored)
	}
	if all := opens("released"); len(all) != 0 {
		t.Errorf("with nothing held %v open", all)
	}
}

// TestE12TheForgottenHaveNoAccess: no token of theirs passes, whatever the policy,
// those among them that nobody ever mentioned.
func TestE12TheForgottenHaveNoAccess(t *testing.T) {
	t.Parallel()
	f := story(t)
	wantRefused(t, f.token["before"], guard.ReasonRevoked, "")
	wantRefused(t, f.token["erased"], guard.ReasonRevoked, guard.ReasonRevoked)
}

// TestE13TokensOfTheForgottenStayRefused: their revocation is not theirs. It
// outlives the key, a restart of everything, and is in a feed that is made from the
// log alone.
func TestE13TokensOfTheForgottenStayRefused(t *testing.T) {
	t.Parallel()
	f := story(t)
	for _, moment := range []string{"restarted", "rebuilt"} {
		wantRefused(t, f.token[moment], guard.ReasonRevoked, guard.ReasonRevoked)
	}
}

func wantRefused(t *testing.T, got map[string][]guard.Reason, want ...guard.Reason) {
	t.Helper()
	for _, policy := range []string{"strict", "best_effort"} {
		if !slices.Equal(got[policy], want) {
			t.Errorf("%s: %q, want %q", policy, got[policy], want)
		}
	}
}

// TestE14NoNameLeadsToAPerson: what is stored in clear about the forgotten is a
// random reference: of the same person another one at another tenant, and none that is still
// known.
func TestE14NoNameLeadsToAPerson(t *testing.T) {
	t.Parallel()
	f := story(t)
	if len(f.ref) != 32 || strings.Trim(f.ref, "0") == "" {
		t.Fatalf("reference %q", f.ref)
	}
	if f.refs[0] == f.refs[1] || f.refs[0] == "" || f.refs[1] == "" {
		t.Errorf("the same person at two tenants: %v", f.refs)
	}
	if f.after.SubjectState != "erased" || len(f.after.Events) != 0 {
		t.Errorf("asked for by name: %+v", f.after)
	}
	for _, hits := range f.hits {
		for _, h := range hits {
			t.Errorf("%s in %s", h.Form, filepath.Base(h.Path))
		}
	}
}

// TestE15NoDigestWithoutAKey: nothing that is stored or was answered tells an
// address from others, but the hash that a publisher put where nothing personal
// belongs: that one is found.
func TestE15NoDigestWithoutAKey(t *testing.T) {
	t.Parallel()
	f := story(t)
	for _, m := range f.guess {
		if m != (canary.Match{Candidate: hashed.subject, Digest: "SHA-256", Of: "subject"}) {
			t.Errorf("%+v", m)
		}
	}
	if len(f.guess) == 0 || f.bytes < 1<<20 {
		t.Errorf("%d matches in %d bytes: the attack does not work", len(f.guess), f.bytes)
	}
}

// TestE18ARebuildBringsNothingBack: tables that are made from the log after an
// erasure count what they did, and hold nothing more of anybody.
func TestE18ARebuildBringsNothingBack(t *testing.T) {
	t.Parallel()
	f := story(t)
	for moment, counts := range f.count {
		if counts != f.count["before"] {
			t.Errorf("%s:\n%s\nwant\n%s", moment, counts, f.count["before"])
		}
	}
	for _, e := range f.trail["rebuilt"].Events {
		if len(e.Personal) != 0 || e.Sealed != "erased" && e.Sealed != "" {
			t.Errorf("%s at %d: %s", e.Type, e.Index, e.Sealed)
		}
	}
	if n := len(f.trail["rebuilt"].Events); n < len(f.trail["before"].Events) {
		t.Errorf("%d events of theirs", n)
	}
	for _, moment := range []string{"rebuilt", "everything", "stopped"} {
		if hits := f.hits[moment]; len(hits) != 0 {
			t.Errorf("%s: %v", moment, hits)
		}
	}
}
