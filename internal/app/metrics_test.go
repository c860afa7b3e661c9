package app

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/query"
)

func TestTheConditionOfTheRevokeSide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status revoke.Stats
		want   query.Condition
	}{
		"at work":      {revoke.Stats{Position: 10, ClockAhead: time.Second}, query.Condition{OK: true, Position: 10}},
		"clock ahead":  {revoke.Stats{Position: 10, ClockAhead: 90*time.Second + 1, ClockOff: true}, query.Condition{Position: 10, Detail: "our clock is 1m30s ahead of the nats server's: what is revoked leaves by the server's"}},
		"clock behind": {revoke.Stats{Position: 10, ClockAhead: -3*time.Second - 1, ClockOff: true}, query.Condition{Position: 10, Detail: "our clock is 3s behind the nats server's: verifiers may take what they hear for old"}},
	} {
		if d := cmp.Diff(c.want, revokeCondition(c.status)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestTheConditionOfTheAuditSide(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	at := audit.Position{Next: 10, Seq: 4}
	behind := audit.LogEnd{Next: 15, Seq: 6}
	for name, c := range map[string]struct {
		status audit.Status
		want   query.Condition
	}{
		"at work": {audit.Status{Position: at, Current: true}, query.Condition{OK: true, Position: 10}},
		"at work, and behind": {
			audit.Status{Position: at, Current: true, End: behind, Oldest: now.Add(-time.Minute)},
			query.Condition{OK: true, Position: 10, Lag: 5},
		},
		"standing by":      {audit.Status{Position: at, Standby: true}, query.Condition{OK: true, Position: 10}},
		"an insert so far": {audit.Status{Position: at, Current: true, Waiting: now.Add(-time.Second)}, query.Condition{OK: true, Position: 10}},
		"an insert without an answer": {
			audit.Status{Position: at, Current: true, Waiting: now.Add(-7 * time.Second), End: behind, Oldest: now.Add(-8 * time.Second)},
			query.Condition{Position: 10, Lag: 5, Detail: "clickhouse has not answered for 7s; 5 records in 2 batches behind the log, the oldest for 8s"},
		},
		"refused": {audit.Status{Position: at, Failures: 3, Err: errors.New("no")}, query.Condition{Position: 10, Detail: "clickhouse does not answer: 3 failures in a row"}},
		"ended":   {audit.Status{Position: at, Stopped: true}, query.Condition{Position: 10, Detail: "stopped: the log or the tables are not as they should be"}},
	} {
		if d := cmp.Diff(c.want, auditCondition(c.status, now)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
