// Package strictjson refuses JSON that two readers could take for two things.
//
// # What it is
//
// [Check] walks one JSON value. encoding/json takes the last of two members of one
// name, and one for ours whose name differs in the case of its letters, or in a
// letter that folds to one of them, as ſ does to s. Other readers do neither.
//
// # Guarantees
//
//   - What Check accepts has no object with two members of one name, however they
//     are escaped; is one value and nothing behind it; and is nested no deeper than
//     MaxDepth.
//   - Where names are ours, they are [Plain], of a to z, 0 to 9 and _: encoding/json
//     takes none of them for another one.
//
// # Shapes and units
//
// Names are as they read, not as they are written.
//
// # Errors
//
// [*Fault] is of what is accepted by others; what is no JSON is an error of
// encoding/json. Neither holds a value of the input; a Fault holds a name.
//
// # Concurrency
//
// Check keeps no state.
//
// # What it does not do
//
// It does not know which members there are: DisallowUnknownFields does. It does not
// hold events to its rules, which package events reads by itself.
//
// # Sources
//
// RFC 8259 section 4 (names SHOULD be unique); encoding/json.
package strictjson
