// Package workload makes realistic token events for benchmarks and tests:
// personal data in each, subjects drawn by Zipf's law, every event of a seed
// the same in every run.
//
// # What it is
//
// A [Generator] yields issued, refreshed, verified and rejected events in the
// proportions of a busy issuer: 15, 5, 77 and 3 of a hundred. A person has a
// session and a current token; issuing begins a session, refreshing replaces
// its token, and what is verified or rejected is the current token. Addresses
// and user agents belong to people and change now and then.
//
// # Guarantees
//
//   - The same [Config] yields the same events, ids included, so that a run
//     can be repeated with the same ids.
//   - Every event passes events.Policy.Validate.
//   - A verified or rejected event names the token and the session that its
//     subject was given last, and no token is verified after it has expired.
//   - An event is 450 to 550 bytes on average, as the JSON that
//     events.MarshalEvent makes, half of it the envelope of CloudEvents.
//   - Memory is bounded by the number of subjects, not of events.
//
// # Shapes and units
//
// Times step by Config.Step from Config.Start. Ids, jti and sid are UUIDv7 of
// that time. Subjects are drawn by Zipf's law with s = 1.1 and v = 8. A
// generator takes about 100 bytes for each subject, and about 1.5 µs for an
// event.
//
// # Errors
//
// None.
//
// # Concurrency
//
// A Generator belongs to one goroutine; give each its own Config.Seed.
//
// # What it does not do
//
// It signs no tokens: the events are what an issuer would say of them. A third
// of those who are issued tokens have personal claims that cite no consent, so
// each of the twenty clients opens one finding. Where a token has expired when
// it would be verified it is refreshed instead, so a run of many hours of event
// time has a few more refreshes than five in a hundred.
//
// # Sources
//
// RFC 9068 (claims of an access token), RFC 9562 (UUIDv7), RFC 6598 (addresses).
package workload
