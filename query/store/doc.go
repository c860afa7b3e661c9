// Package store answers package query's questions about the audit record from
// ClickHouse.
//
// # What it is
//
// [Store] implements query.EventStore, query.FindingStore, query.ReachStore and
// leak.Store on the tables of schemas/clickhouse, an [Archive] erasure.Archive and
// export.Archive. Each question is a struct of its own that yields its SQL
// and arguments and is run as it stands.
//
// # Guarantees
//
//   - A row of another tenant is never in an answer to a search for a tenant;
//     a search without a tenant is refused, unless it says that it means all.
//   - A returned record encodes to the same bytes as the one in the log.
//   - Rows come in the order of their index, and following After from page to
//     page yields every row that was there at the start once.
//   - A row that is known to repeat an earlier event says so.
//   - Values reach the server as bound parameters only: none is in the text
//     of a query, and none can change its meaning.
//   - Only what is recorded is shown: below the highest index of an answer
//     nothing is missing, and nothing in it was left there by an insert whose
//     outcome is not known.
//   - Every query is bounded in time and rows; one that passes the bound is
//     an error, never a shortened answer. Where a person's data went is no
//     exception where recipients are known: each of them is found, however many
//     audiences lead to nobody, and of those beyond 10,000 it is said that there are.
//   - What a revocation would hit is counted exactly up to two million events,
//     and as a lower bound that says so above; and so is how many of that is
//     refused already, as the set would decide, of tokens of the forgotten as far
//     as the log names them. What it leaked is what package leak says of every
//     event.
//   - Nothing is written: [Grants] lets an account read the tables and no more.
//
// # Shapes and units
//
// Those of package query.
//
// # Errors
//
// query.ErrNotFound, the context's own, [ErrSearch] for a search that cannot
// be run as it stands, and errors of ClickHouse, any of which may pass.
//
// # Concurrency
//
// All methods may be called from any goroutine.
//
// # What it does not do
//
// It does not open what is sealed and does not decide who may ask. It does not
// know which shard a tenant is in: each question is put to the one it names.
//
// # Sources
//
// schemas/clickhouse; internal/eventrow.
package store
