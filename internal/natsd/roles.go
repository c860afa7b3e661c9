package natsd

import (
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// Role is what a client is trusted to do.
type Role string

// The roles.
const (
	Operator  Role = "operator"  // creates and changes streams; used at start and by hand, by no running service
	Projector Role = "projector" // the only writer of the log, the keyring and the revocation feed
	API       Role = "api"       // publishes events, reads the log, destroys keys, makes those of holds, of receipts and of who comes back
	Issuer    Role = "issuer"    // publishes what it issued and revoked; reads nothing
	Verifier  Role = "verifier"  // publishes what it verified; follows revocations
	Auditor   Role = "auditor"   // reads the logs and the feed message by message; publishes nothing
)

// Roles lists every role.
func Roles() []Role { return []Role{Operator, Projector, API, Issuer, Verifier, Auditor} }

// InboxPrefix is the prefix of the subjects on which a client of role r
// receives replies: no other role may subscribe to it.
func InboxPrefix(r Role) string { return "_INBOX_" + string(r) }

// Permissions is all that role r may publish and subscribe to where there are
// so many shards; everything else is denied.
func Permissions(r Role, shards int) jwt.Permissions {
	pub, sub := grants(r, shards)
	sub = append(sub, InboxPrefix(r)+".>")
	slices.Sort(pub)
	slices.Sort(sub)
	p := jwt.Permissions{
		Pub: jwt.Permission{Allow: slices.Compact(pub)},
		Sub: jwt.Permission{Allow: slices.Compact(sub)},
	}
	if r == Projector || r == API {
		p.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: 5 * time.Second} // answers requests for keys, and to drop them
	}
	return p
}

func grants(r Role, shards int) (pub, sub []string) {
	switch r {
	case Operator:
		return []string{"$JS.API.>"}, nil
	case Projector:
		return projector(shards), []string{stream.FeedKeysSubject, stream.IntakeKeysSubject, stream.LiveErasures + ".>", stream.LiveEvictions + ".*", stream.LiveRevocations, stream.LiveAnnouncements}
	case API:
		return api(shards), []string{stream.LiveErasures + ".>", stream.LiveEvictions + ".*", stream.LiveRevocations, stream.LiveAnnouncements, stream.LiveVerifiers}
	case Issuer:
		pub := publishes(func(t events.Type) bool {
			return !t.Reserved() && t != events.TokenVerified && t != events.TokenRejected
		})
		return append(pub, stream.IntakeKeysSubject), []string{"_INBOX.>"}
	case Verifier:
		pub := publishes(func(t events.Type) bool { return t == events.TokenVerified || t == events.TokenRejected })
		return slices.Concat(pub, verifier()), []string{"_INBOX.>", stream.LiveRevocations, stream.LiveAnnouncements}
	case Auditor:
		read := append(logs(shards), stream.RevocationsStream, objects)
		return append(info(read...), direct(read...)...), nil
	default:
		return nil, nil
	}
}

// publishes is the event subjects, of any tenant, of the types that allowed
// picks.
func publishes(allowed func(events.Type) bool) (subjects []string) {
	for _, t := range events.Types() {
		if allowed(t) {
			subjects = append(subjects, stream.EventSubject("*", t))
		}
	}
	return subjects
}

// objects is the stream behind the bucket of snapshots.
const objects = "OBJ_" + stream.SnapshotBucket

func verifier() []string {
	return slices.Concat(
		[]string{stream.FeedKeysSubject, stream.IntakeKeysSubject, stream.VerifierSubjects, stream.LiveVerifiers},
		info(stream.RevocationsStream, objects),
		direct(stream.RevocationsStream, objects),
	)
}

// logs is the streams of the logs.
func logs(shards int) (streams []string) {
	for k := range shards {
		streams = append(streams, stream.LogStreamOf(uint16(k)))
	}
	return streams
}

// lanes is the subjects of the logs.
func lanes(shards int) (subjects []string) {
	for k := range uint16(shards) {
		subjects = append(subjects, stream.LogSubjectOf(k, events.Control), stream.LogSubjectOf(k, events.Access))
	}
	return subjects
}

func projector(shards int) []string {
	logs := logs(shards)
	all := append([]string{stream.IntakeStream, stream.QuarantineStream, stream.RevocationsStream, stream.KeyringStream, stream.LocksStream, objects}, logs...)
	return slices.Concat(
		[]string{
			stream.RevocationsSubject, stream.LiveAnnouncements, stream.FeedKeysSubject, stream.LiveEvictions + ".*",
			stream.KeyringSubjects, stream.KeyringGuard, stream.QuarantineSubjects, stream.LockSubjects, "$O." + stream.SnapshotBucket + ".>",
			stream.ServiceSubject("*", events.TypeNamed("system.*")), stream.ServiceSubject("*", events.FindingOpened),
			stream.ServiceSubject("*", events.RevocationRestored), stream.ServiceSubject("*", events.RequestReapplied), // what a restored copy has undone
		},
		lanes(shards), info(all...), direct(all...), leader(all...),
		consume(stream.IntakeStream), reset(stream.IntakeStream),
		consume(logs...), create(logs...),
		consume(objects), create(objects),
		api1("STREAM.MSG.DELETE", stream.IntakeStream, stream.KeyringStream, stream.LocksStream, objects),
		api1("STREAM.PURGE", objects, stream.IntakeStream),
	)
}

func api(shards int) []string {
	logs := logs(shards)
	all := append([]string{stream.IntakeStream, stream.QuarantineStream, stream.RevocationsStream, stream.KeyringStream, stream.LocksStream, objects}, logs...)
	return slices.Concat(
		[]string{
			stream.HoldKeySubjects, stream.ReleasedSubjects, stream.HeldSubjects, // keeps what holds match
			stream.ExportSubjects,                                               // and what people asked for of theirs
			stream.RenewalSubjects, stream.SeatSubjects, stream.DataKeySubjects, // makes the key of who comes back
			stream.ReceiptKeySubjects, // signs receipts
		},
		info(stream.HeldStream, stream.ExportsStream), leader(stream.HeldStream, stream.ExportsStream), api1("STREAM.PURGE", stream.HeldStream, stream.ExportsStream),
		[]string{"rescind.events.>", stream.ErasureSubjects, stream.MarkSubjects, stream.KeyringGuard, stream.LiveEvictions + ".*", stream.FeedKeysSubject, stream.IntakeKeysSubject, stream.QuarantineSubjects, stream.ReplayedSubjects, stream.LockSubjects},
		info(all...), direct(all...), info(stream.VerifiersStream), direct(stream.VerifiersStream),
		leader(stream.QuarantineStream, stream.KeyringStream, stream.LocksStream), leader(logs...),
		consume(logs...), create(logs...),
		api1("STREAM.MSG.DELETE", stream.KeyringStream, stream.LocksStream),
	)
}

func api1(verb string, streams ...string) (subjects []string) {
	for _, s := range streams {
		subjects = append(subjects, "$JS.API."+verb+"."+s)
	}
	return subjects
}

func under(verb string, streams ...string) (subjects []string) {
	for _, s := range api1(verb, streams...) {
		subjects = append(subjects, s+".>")
	}
	return subjects
}

// info, direct, leader, consume and create are what the API subjects of
// JetStream are for.
func info(streams ...string) []string   { return api1("STREAM.INFO", streams...) }
func leader(streams ...string) []string { return api1("STREAM.MSG.GET", streams...) }
func direct(streams ...string) []string {
	return append(api1("DIRECT.GET", streams...), under("DIRECT.GET", streams...)...)
}

// consume is to pull from consumers that are there. Acknowledgements come in
// two forms: without and with domain and account before the stream.
func consume(streams ...string) []string {
	subjects := append(under("CONSUMER.MSG.NEXT", streams...), under("CONSUMER.INFO", streams...)...)
	for _, s := range streams {
		subjects = append(subjects, "$JS.ACK."+s+".>", "$JS.ACK.*.*."+s+".>")
	}
	return subjects
}

func reset(streams ...string) []string { return under("CONSUMER.RESET", streams...) }

// create is to make and remove consumers. Only readers of the log need it: a
// consumer can deliver to any subject, so a stream that a role may consume is
// one that it may read whole.
func create(streams ...string) []string {
	return append(under("CONSUMER.CREATE", streams...), under("CONSUMER.DELETE", streams...)...)
}
