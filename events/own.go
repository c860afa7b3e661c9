package events

import "strings"

// OwnSources begins the sources of Rescind's own services. What they say is
// acted on as nobody else's is, so nobody else may use one, or take an id of
// theirs.
const OwnSources = "rescind:"

// DetailOwnSource says why an event with such a source is refused.
const DetailOwnSource = "sources that begin with " + OwnSources + " are Rescind's own"

// OwnSource reports whether source is one of Rescind's own.
func OwnSource(source string) bool { return strings.HasPrefix(source, OwnSources) }

// commonWords are what events are made of, whoever publishes them: the standard scopes,
// why something is revoked, and what a verifier says of a token. Who is called so is
// not looked for: whoever chose such a name would have no event taken about them.
var commonWords = func() map[string]bool {
	words := map[string]bool{}
	for w := range strings.FieldsSeq(`openid profile address offline offline_access
		decision active revoked unknown stream age_ms one_in untold
		missing malformed algorithm critical signature issuer audience expired not_yet_valid incomplete lifetime tenant`) {
		words[w] = true
	}
	for _, r := range revocationReasons {
		words[string(r)] = true
		for w := range strings.SplitSeq(string(r), "_") {
			words[w] = true
		}
	}
	return words
}()

// ownWords are what members of our own events are called and say, as far as they are
// long enough to be taken for a personal value. Somebody may be called so.
var ownWords = func() map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.Fields(`access accessed article callback callbacks client commitment confirm confirm_by confirmed delivery
		download erasure events exception export exported exports generation holds key_mark link missing notices objection outcome
		people portability position purpose quarantine reading receipt receipt_salt received recipient regulation renewal replay request
		request_type requests residue restriction review search session subject tokens withdraw`) {
		words[w] = true
	}
	return words
}()
