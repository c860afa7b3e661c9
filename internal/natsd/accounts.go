package natsd

import (
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/rescindhq/rescind/events/stream"
)

// account is a space of subjects of its own: what is published in one is seen
// in another only where it is exported and imported.
type account string

// The accounts, by the names of their key files; core was the only one once.
const (
	core      account = "account"   // JetStream, and those who write what others act on
	issuers   account = "issuers"   // publishes events
	verifiers account = "verifiers" // publishes events, reads the feed
)

// accounts lists them, the one that the others import from first.
func accounts() []account { return []account{core, issuers, verifiers} }

// load has ns know every account before anybody connects. Otherwise the first
// connection to one makes it known before it has all of its imports: what another
// connection asks then, of JetStream or of who answers requests, has no responders.
func (id *identity) load(ns *server.Server) error {
	for _, a := range accounts() {
		if _, err := ns.LookupAccount(public(id.accounts[a])); err != nil {
			return fmt.Errorf("load %s: %w", a.name(), err)
		}
	}
	return nil
}

// name is what the server's own reports call a.
func (a account) name() string {
	if a == core {
		return "rescind"
	}
	return "rescind-" + string(a)
}

// accountOf is the account of role r.
func accountOf(r Role) account {
	switch r {
	case Issuer:
		return issuers
	case Verifier:
		return verifiers
	default:
		return core
	}
}

// batchWait is how long the server keeps the way back of a request with many
// answers after the last of them: only silence ends it.
const batchWait = 10 * time.Second

// nowhere is a subject that no role may subscribe to, in any account.
const nowhere = "rescind.nowhere"

// accountInfo is the API subject by which the server tells whether an account
// imports JetStream.
const accountInfo = "$JS.API.INFO"

// claims is account a as its JWT describes it.
func (id *identity) claims(a account) *jwt.AccountClaims {
	c := jwt.NewAccountClaims(public(id.accounts[a]))
	c.Name = a.name()
	for _, r := range Roles() {
		if accountOf(r) == a {
			c.SigningKeys.AddScopedSigner(scope(r, public(id.signers[r]), id.shards))
		}
	}
	if a == core {
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{
			MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
		}
		c.Exports = exports()
		return c
	}
	c.Imports = imports(a, id.accounts[core])
	if a == verifiers {
		// A verifier may be answered on any subject of this account. What comes
		// here from the core is not mapped, so nobody but the core can speak to
		// the others on the subjects of the feed.
		for _, s := range live() {
			c.AddMapping(jwt.Subject(s), jwt.WeightedMapping{Subject: nowhere})
		}
	}
	return c
}

// live is what verifiers follow.
func live() []string { return []string{stream.LiveRevocations, stream.LiveAnnouncements} }

// exports is what the core offers. Events are one export on purpose: an answer
// that comes back as a request of the same export ends there.
func exports() jwt.Exports {
	var all jwt.Exports
	for _, s := range live() {
		all.Add(&jwt.Export{Name: s, Subject: jwt.Subject(s), Type: jwt.Stream})
	}
	for _, s := range slices.Concat([]string{stream.EventSubjects, stream.FeedKeysSubject, stream.IntakeKeysSubject, stream.VerifierSubjects, stream.LiveVerifiers, nowhere}, info(stream.RevocationsStream, objects)) {
		all.Add(&jwt.Export{Name: s, Subject: jwt.Subject(s), Type: jwt.Service, ResponseType: jwt.ResponseTypeSingleton})
	}
	for _, s := range direct(stream.RevocationsStream, objects) {
		all.Add(&jwt.Export{Name: s, Subject: jwt.Subject(s), Type: jwt.Service, ResponseType: jwt.ResponseTypeStream, ResponseThreshold: batchWait})
	}
	return all
}

// imports is what the roles of a may publish, subject by subject, and for
// verifiers what they may follow. An answer can be made a request, and the
// server does not check the permissions of whoever asked: imports bound it.
//
// An account without JetStream is given the whole API to be refused by, and the
// refusal races the answer to what was imported, unless accountInfo is imported
// from another account: so it is, from where nobody answers.
func imports(a account, from nkeys.KeyPair) (all jwt.Imports) {
	all.Add(&jwt.Import{Name: "no JetStream", Subject: nowhere, LocalSubject: accountInfo, Account: public(from), Type: jwt.Service})
	for _, r := range Roles() {
		if accountOf(r) != a {
			continue
		}
		pub, _ := grants(r, 1) // those of these accounts reach no log
		for _, s := range pub {
			all.Add(&jwt.Import{Name: s, Subject: jwt.Subject(s), Account: public(from), Type: jwt.Service})
		}
	}
	if a == verifiers {
		for _, s := range live() {
			all.Add(&jwt.Import{Name: s, Subject: jwt.Subject(s), Account: public(from), Type: jwt.Stream})
		}
	}
	return all
}
