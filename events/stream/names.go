package stream

import (
	"fmt"
	"slices"
	"strconv"
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
	VerifiersStream   = "RESCIND_VERIFIERS"
	HeldStream        = "RESCIND_HELD"
	ExportsStream     = "RESCIND_EXPORTS"
	SnapshotBucket    = "RESCIND_SNAPSHOTS"
)

// The consumers of the intake.
const (
	ControlConsumer = "intake-control"
	AccessConsumer  = "intake-access"
)

// LogStreamOf is the stream of a shard's log: LogStream for the first, which is
// the only one where tenants are not split.
func LogStreamOf(shard uint16) string { return ofShard(LogStream, "_", shard) }

// consumerOf is a consumer of the intake for a shard's messages.
func consumerOf(name string, shard uint16) string { return ofShard(name, "-", shard) }

// ofShard is the name that shard has where the first has the given one.
func ofShard(name, separator string, shard uint16) string {
	if shard == 0 {
		return name
	}
	return name + separator + strconv.Itoa(int(shard))
}

// Subjects. None holds an identifier: a subject stays on disk after its
// message is erased.
const (
	RevocationsSubject = "rescind.revocations"      // deltas, stored
	LiveRevocations    = "rescind.live.revocations" // the same, republished to whoever listens
	LiveAnnouncements  = "rescind.live.announced"   // what deltas are about to revoke, stored nowhere
	FeedKeysSubject    = "rescind.feed.keys"        // request: the feed keys of all tenants
	IntakeKeysSubject  = "rescind.intake.keys"      // request: the keys that publishers encrypt to
	LiveErasures       = "rescind.live.erased"      // prefix: .<tenant>.<handle>, when a fence is put into the keyring
	LiveEvictions      = "rescind.live.evict"       // prefix: .<holder>; request: drop a person's key, answered when it is dropped
	EventSubjects      = eventPrefix + ">"
	LogSubjects        = "rescind.log.*"
	KeyringSubjects    = keyringPrefix + ">"
	ErasureSubjects    = keyringPrefix + "e.>"
	HoldKeySubjects    = keyringPrefix + "h.>" // keys of legal holds
	ReleasedSubjects   = keyringPrefix + "r.>" // fences of those that were released
	RenewalSubjects    = keyringPrefix + "g.>" // that somebody who was forgotten may be known again
	SeatSubjects       = keyringPrefix + "s.>"
	DataKeySubjects    = keyringPrefix + "k.>"
	ReceiptKeySubjects = keyringPrefix + "v.>" // keys that receipts of erasures are signed with
	HeldSubjects       = heldPrefix + ">"
	ExportSubjects     = exportsPrefix + ">"
	MarkSubjects       = keyringPrefix + "d.>"   // marks of data keys that were destroyed
	KeyringGuard       = "rescind.keyring-guard" // says nothing; is stored with entries only as long as their epoch is not over
	QuarantineSubjects = quarantinePrefix + "*"
	ReplayedSubjects   = replayedPrefix + "*"
	LockSubjects       = lockPrefix + "*"
	VerifierSubjects   = verifierPrefix + "*"       // what is kept of each verifier
	LiveVerifiers      = "rescind.live.verifiers.*" // receipts of each verifier, as they come; not stored

	eventPrefix      = "rescind.events."
	serviceSuffix    = ".service"        // behind the type: what one of our own services publishes
	shardPrefix      = "rescind.intake." // what of several shards is stored under: .<shard>.<tenant>.<type>
	logPrefix        = "rescind.log."
	keyringPrefix    = "rescind.keyring."
	quarantinePrefix = "rescind.quarantine."
	replayedPrefix   = quarantinePrefix + "replayed."
	lockPrefix       = "rescind.lock."
	verifierPrefix   = "rescind.verifiers."
	heldPrefix       = "rescind.held."
	exportsPrefix    = "rescind.exports."
)

// VerifierSubject is the subject on which the verifier with an id is kept.
func VerifierSubject(id string) string { return verifierPrefix + id }

// LiveVerifier is the subject of a verifier's receipts.
func LiveVerifier(id string) string { return strings.TrimSuffix(LiveVerifiers, "*") + id }

// VerifierOf is the id that VerifierSubject or LiveVerifier was given.
func VerifierOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// EventSubject is the subject on which events of type t of a tenant are
// published. A tenant of "*" makes it a filter.
func EventSubject(tenant string, t events.Type) string {
	return eventPrefix + tenant + "." + t.Name()
}

// ServiceSubject is the subject on which our own services publish an event of
// type t of a tenant in their own name: with a source under events.OwnSources.
// No issuer or verifier may publish on it. A tenant of "*" makes it a filter.
func ServiceSubject(tenant string, t events.Type) string {
	return EventSubject(tenant, t) + serviceSuffix
}

// fromService reports whether s is what ServiceSubject writes.
func fromService(s string) bool {
	_, _, err := ParseEventSubject(s)
	return err == nil && strings.HasSuffix(s, serviceSuffix)
}

// ShownSubject is the subject s of an event as it may be shown in clear: what is behind
// the tenant only where it is a type of ours, as somebody could have written a name
// there; and whether one of our own services published it.
func ShownSubject(s string) string {
	_, t, err := ParseEventSubject(s)
	switch {
	case s == "", err == nil && t.Known():
		return s
	case fromService(s):
		return events.Withheld + serviceSuffix
	default:
		return events.Withheld
	}
}

// ParseEventSubject reads what EventSubject or ServiceSubject wrote. The type
// need not be known.
// Where s is not of that shape, tenant and t are what it says all the same, so
// that an event on it agrees with nothing and is refused.
func ParseEventSubject(s string) (tenant string, t events.Type, err error) {
	rest, ours := strings.CutPrefix(s, eventPrefix)
	tenant, name, _ := strings.Cut(rest, ".")
	name = strings.TrimSuffix(name, serviceSuffix)
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

// published is the subject that a message of the intake was published on, which
// is stored with its shard in front where there are several.
func published(stored string) string {
	if rest, ok := strings.CutPrefix(stored, shardPrefix); ok {
		if _, rest, ok = strings.Cut(rest, "."); ok {
			return eventPrefix + rest
		}
	}
	return stored
}

// LogSubject is the subject of a lane of the first shard's log.
func LogSubject(lane events.Lane) string { return LogSubjectOf(0, lane) }

// LogSubjectOf is the subject of a lane of a shard's log.
func LogSubjectOf(shard uint16, lane events.Lane) string { return logPrefixOf(shard) + string(lane) }

func logPrefixOf(shard uint16) string {
	if shard == 0 {
		return logPrefix
	}
	return logPrefix + strconv.Itoa(int(shard)) + "."
}

// parseLogSubject is the lane that LogSubjectOf was given.
func parseLogSubject(s string) events.Lane {
	return events.Lane(s[strings.LastIndexByte(s, '.')+1:])
}

// controlSubjects is the subjects under prefix, of any tenant, of every type of
// the control lane.
func controlSubjects(prefix string) []string {
	var subjects []string
	for _, t := range events.Types() {
		if t.Lane() == events.Control {
			subjects = append(subjects, prefix+"*."+t.Name(), prefix+"*."+t.Name()+serviceSuffix)
		}
	}
	slices.Sort(subjects)
	return subjects
}
