// Package deadline says until when a data subject's request has to be answered.
//
// # What it is
//
// [Rules] are those of one controller: its time zone, its public holidays, and
// the day that a period begins with. What they give is the last second of the
// last day in that zone.
//
// # Guarantees
//
//   - A month ends on the day of the same number, in a shorter month on its last;
//     three months are counted from the beginning, not from the end of the first.
//   - A period of months never ends on a Saturday, a Sunday or a public holiday
//     of the configuration, but on the next working day.
//   - The days of the CCPA are calendar days, whatever day they end on; those to
//     confirm in are business days.
//   - The day that counts is the one in the zone of the controller, however many
//     hours it has.
//   - An extension is counted from receipt and replaces the period, so it is
//     never shorter.
//
// # Shapes and units
//
// A holiday is a date (2026-05-14), a day of every year (12-25), or a distance
// in days from Easter Sunday (easter-2, easter+1), which is the western one.
//
// # Errors
//
// [New] reports every fault of a [Config] at once.
//
// # Concurrency
//
// Rules do not change: any goroutine may use them.
//
// # What it does not do
//
// It gives no legal advice. The clock does not stop while an identity is being
// verified: article 12(6) is read so by some authorities and not by others, the
// CCPA says that it does not, and who answers earlier is never late. A holiday
// that moves otherwise than Easter has to be listed for each year.
//
// # Sources
//
// GDPR article 12(3). Regulation (EEC, Euratom) 1182/71 article 3(1) (the day of
// the event is not counted), 3(2)(c) (last hour of the same date, else the last
// day of the month) and 3(4) (public holiday, Sunday, Saturday). ICO, right of
// access, as worded until and since August 2019. CCPA regulations, 11 CCR § 7021
// (a) and (b). Easter by the algorithm of Meeus, Jones and Butcher.
package deadline
