package stream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rescindhq/rescind/events"
)

// The streams and the object store.
const (
	IntakeStream      = "RESCIND_INTAKE"
	LogStream         = "RESCIND_LOG"
	QuarantineStream  = "RESCIND_QUARANTINE"
	RevocationsStream = "RESCIND_REVOCATIONS"
	KeyringStream     = "RESCIND_KEYRING"
	LocksStream       = "RESCIND_LOCKS"
	SnapshotBucket    = "RESCIND_SNAPSHOTS"
)

// The consumers of the intake.
const (
	ControlConsumer = "intake-control"
	AccessConsumer  = "intake-access"
)

// Subjects. None holds an identifier: a subject stays on disk after its
// message is erased.
const (
	RevocationsSubject = "rescind.revocations"      // deltas, stored
	LiveRevocations    = "rescind.live.revocations" // the same, republished to whoever listens
	FeedKeysSubject    = "rescind.feed.keys"        // request: the feed keys of all tenants
	LiveErasures       = "rescind.live.erased"      // prefix: .<tenant>.<handle>, when a fence is put into the keyring
	EventSubjects      = eventPrefix + ">"
	LogSubjects        = "rescind.log.*"
	KeyringSubjects    = keyringPrefix + ">"
	ErasureSubjects    = keyringPrefix + "e.>"
	QuarantineSubjects = quarantinePrefix + "*"
	ReplayedSubjects   = replayedPrefix + "*"
	LockSubjects       = lockPrefix + "*"

	eventPrefix      = "rescind.events."
	keyringPrefix    = "rescind.keyring."
	quarantinePrefix = "rescind.quarantine."
	replayedPrefix   = quarantinePrefix + "replayed."
	lockPrefix       = "rescind.lock."
)

// EventSubject is the subject on which events of type t of a tenant are
// published. A tenant of "*" makes it a filter.
func EventSubject(tenant string, t events.Type) string {
	return eventPrefix + tenant + "." + t.Name()
}

// ParseEventSubject reads what EventSubject wrote. The type need not be known.
// Where s is not of that shape, tenant and t are what it says all the same, so
// that an event on it agrees with nothing and is refused.
func ParseEventSubject(s string) (tenant string, t events.Type, err error) {
	rest, ours := strings.CutPrefix(s, eventPrefix)
	tenant, name, _ := strings.Cut(rest, ".")
	t = events.TypeNamed(name)
	switch {
	case !ours:
		return tenant, t, fmt.Errorf("subject is not under %s", eventPrefix)
	case !events.ValidTenant(tenant):
		return tenant, t, fmt.Errorf("subject: its third token is not a tenant")
	case strings.Count(name, ".") != 1:
		return tenant, t, fmt.Errorf("subject: want %s<tenant>.<category>.<what>", eventPrefix)
	}
	return tenant, t, nil
}

// LogSubject is the subject of a lane of the log.
func LogSubject(lane events.Lane) string { return "rescind.log." + string(lane) }

// parseLogSubject is the lane that LogSubject was given.
func parseLogSubject(s string) events.Lane {
	return events.Lane(strings.TrimPrefix(s, "rescind.log."))
}

// controlSubjects is the subjects, of any tenant, of every type of the control
// lane.
func controlSubjects() []string {
	var subjects []string
	for _, t := range events.Types() {
		if t.Lane() == events.Control {
			subjects = append(subjects, EventSubject("*", t))
		}
	}
	slices.Sort(subjects)
	return subjects
}
