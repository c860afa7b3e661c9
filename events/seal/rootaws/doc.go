// Package rootaws keeps the root's keys of the keyring in AWS KMS, one KMS key
// each.
//
// # What it is
//
// [KMS] is a [seal.Root] over the SDK of AWS.
//
// # Guarantees
//
//   - KMS keeps the contract of seal.Root.
//   - A key is gone only where KMS says that it is scheduled for deletion, or,
//     asked several times, that there is no such key: KMS knows a new key
//     everywhere only after a moment. A refusal, a disabled key or no answer is
//     an error.
//
// # Shapes and units
//
// A key is named by its ARN; only those of the configured region are taken. It
// is symmetric, of KMS's own material, in one region, and has the tag
// rescind=keyring. It wraps with the encryption context rescind=epoch. KMS keeps a key for 7
// days after it was scheduled for deletion; nothing decrypts under it meanwhile.
// The credentials need kms:CreateKey and kms:TagResource; and kms:Encrypt,
// kms:Decrypt, kms:DescribeKey and kms:ScheduleKeyDeletion on keys with that tag. Nobody
// should have kms:CancelKeyDeletion on them: whoever has can bring a key
// back within the 7 days.
//
// # Errors
//
// As seal.Root says.
//
// # Concurrency
//
// A KMS may be used from any goroutine, and several of one account and region
// are one root.
//
// # What it does not do
//
// A key whose maker was stopped before it wrapped anything is not deleted, and
// is paid for: the tag finds it. It was run against an imitation of the API, made from its
// documentation, and not against AWS.
//
// # Sources
//
// AWS KMS API reference: CreateKey, Encrypt, Decrypt, DescribeKey,
// ScheduleKeyDeletion, and "Eventual consistency".
package rootaws
