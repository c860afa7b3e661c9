// Package canary searches everything below a folder for what must not be there:
// values that were planted, and whatever leads to one of many candidates.
//
// # What it is
//
// [Scan] is given values and says in which files it found one, in which form.
// [Read] takes in all that is below folders, as somebody has it who took the
// disks away, and [Corpus.Attack] tries candidates on it: whether one is there in
// clear, or a digest of one that needs no key.
//
// # Guarantees
//
//   - A value that lies anywhere in a file, or in the name of one, is found, across
//     the whole file and whatever is around it: in clear; in base64 or base64url at
//     any of the three places in a group; in hex; escaped as JSON does it or as
//     URLs do.
//   - What ClickHouse compressed is searched as it was before. A column that cannot
//     be decompressed is an error.
//   - A digest of a candidate is found of which the first eight bytes lie anywhere
//     in a file: as bytes, in hex, in base64 at any place in a group.
//   - A file that cannot be read is an error, unless it was removed meanwhile.
//
// # Shapes and units
//
// Values and candidates want to be long enough not to be met by chance: 12 bytes
// or more. What the attack tries are the [Digests] of a candidate alone and behind
// issuer and tenant, joined in the usual ways. By chance one of 10^8 digests is
// met in 10^8 bytes once in two thousand times.
//
// A corpus takes its bytes, and eight to sixteen more for each place in them at
// which it differs from others.
//
// # Errors
//
// Those of the file system, and [ErrCompressed].
//
// # Concurrency
//
// Scan and Read may be called from any goroutine, and a Corpus used by many. What
// is written while they run they may miss.
//
// # What it does not do
//
// It does not look inside what is encrypted, which is the point, nor inside
// archives. It undoes general codecs (LZ4, ZSTD); numbers stay in the codecs that
// are for numbers. It holds a file in memory at a time, and a corpus whole. What is
// shorter than eight bytes, such as a CRC, tells a candidate from others only by
// chance, and is not looked for.
//
// # Sources
//
// RFC 4648, RFC 8259, RFC 3986; ClickHouse's compressed blocks
// (src/Compression/CompressionInfo.h, CompressionCodecMultiple.cpp).
package canary
