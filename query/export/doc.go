// Package export answers requests for access and portability: with a file of all
// that is known of a person, which only they can open.
//
// # What it is
//
// An [Office] makes exports and hands them out. [Office.Make] reads the archive
// and writes a ZIP file: pages for people, JSON for programs, and the JSON Schema
// of it ([Schema]). It is stored as an age file, encrypted to a key of its own
// that is sealed under the key of the person. [Office.Issue] makes a link, and
// wraps the key of the file anew for whoever it is for: a passphrase, or a public
// key of theirs. [Office.Open] is what a link leads to.
//
// # Guarantees
//
//   - An export for access holds every event of the log below its position that
//     names the person, every one that names nobody but a token, session or grant
//     of theirs, and every reading of what is theirs; no other. What the person
//     was called in each of them is in it. One for portability holds those that
//     name the person and say what they provided or what was observed of them.
//   - What is not in an export, or could not be read, is said in it.
//   - Names of other people who did something, or were concerned by it, are left
//     out.
//   - Every file of it is what the published schema says. Whatever an event says is
//     text on a page: it neither is taken for markup nor hides or reorders text.
//   - An export is stored whole or is none: stopped at any step of making it, or
//     where a store fails, there is nothing to be had of it.
//   - An archive that is behind its log delays the exports of its shard, and no other
//     for longer than it takes to tell. One that is always as far behind comes to
//     [Order].End all the same; one that stands still does not.
//   - Memory is bounded, however long an export is, when it is made and when it is
//     sent.
//   - Only who has the passphrase, or the private key, opens an export; neither the
//     passphrase nor the secret of a link is kept, here or anywhere.
//   - A link has 256 random bits, is for one export of one person of one tenant,
//     ends at its time, and when another is issued. Whatever is wrong with one, the
//     error is the same: [ErrGone].
//   - Once the key of the person is destroyed, no export of theirs can be had and
//     no stored byte of one opens; who was forgotten while theirs is made has none.
//     Who came back has none of before.
//   - Of what was changed or lost in the store, less is sent than was announced.
//
// # Shapes and units
//
// export.json is a [Document], events/00001.json and so on are [Events], at most
// 1,000 in each, in the order of relation and index; index.html and
// events/00001.html say the same. A passphrase has 26 digits of 5 bits, in groups.
// An export is kept for stream.ExportsKept, a link for Config.LinkTTL.
//
// # Errors
//
// [ErrGone], [ErrBehind] and [ErrRecipient] are for callers to branch on; anything else may
// pass.
//
// # Concurrency
//
// An Office may be used from any goroutine, and any number of them may share a
// store.
//
// # What it does not do
//
// It does not record that something is handed out: its caller does, before. It
// does not say who may have a link. What a hold keeps of somebody who was
// forgotten is not found by their name: nothing leads there any more. What is in
// quarantine was never an event, and is not exported.
// An export that was made and never became the answer to a request, because a
// worker was killed in between, opens to nobody and stays until its time ends.
// It takes a publisher's word for whose a session or token is.
//
// # Sources
//
// GDPR articles 12(1), 15 and 20; WP 242 rev.01 (portability); CJEU C-579/21 (who
// looked); age-encryption.org/v1 (C2SP); docs/adr/0027.
package export
