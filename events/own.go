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
