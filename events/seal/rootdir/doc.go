// Package rootdir keeps the root's keys of the keyring in a folder, one file
// each: what all processes on one machine, or on one shared volume, can use
// without a key management service.
//
// # What it is
//
// [Dir] is a [seal.Root]. Each key is a file of its own, so that it can be
// destroyed: it is overwritten and removed.
//
// # Guarantees
//
//   - Dir keeps the contract of seal.Root, and several Dirs of one folder are
//     one root.
//   - A key is durable, whole, before anything is wrapped under it: its file and
//     its name in the folder are synced.
//   - After Destroy no file of the folder holds the key, nor what it was
//     overwritten in place of.
//   - A key that others than its owner could read is refused, and so is a folder
//     in which others could write.
//   - A folder that is not there, or cannot be read, is an error, and not a key
//     that was destroyed.
//
// # Shapes and units
//
// The folder is mode 0700. A file is named by 32 random hex digits and ".key",
// mode 0600, and holds 32 bytes in base64 and a line feed. The name is the name
// of the key.
//
// # Errors
//
// As seal.Root says.
//
// # Concurrency
//
// Any number of processes may share a folder.
//
// # What it does not do
//
// Overwriting reaches the blocks of the file where the file system writes in
// place. On one that copies on write, with snapshots, and on flash memory, old
// blocks can remain: there, put the folder on a volume whose encryption key you
// can destroy, or use a key management service. It cannot reach copies: a backup
// of the folder that is kept keeps every key that was in it. Back it up to where
// keys that are gone here go as well, and never together with the keyring.
//
// # Sources
//
// NIST SP 800-88 (sanitization), and its warning about flash memory.
package rootdir
