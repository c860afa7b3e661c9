package revoke

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// bucket keeps the snapshot as one object (ADR-20). It writes by itself: what
// the client does for a Put leaves a goroutine behind where the Put is quick,
// and the chunks of one that was cut off stay for ever.
type bucket struct{ js jetstream.JetStream }

// chunkSize is one message of a snapshot.
const chunkSize = 512 << 10

const (
	objectStream  = "OBJ_" + stream.SnapshotBucket
	chunkSubjects = "$O." + stream.SnapshotBucket + ".C."
)

var metaSubject = "$O." + stream.SnapshotBucket + ".M." + base64.URLEncoding.EncodeToString([]byte(revocation.SnapshotObject))

func (b *bucket) Get(ctx context.Context) ([]byte, error) {
	store, err := b.js.ObjectStore(ctx, stream.SnapshotBucket)
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", stream.SnapshotBucket, err)
	}
	data, err := store.GetBytes(ctx, revocation.SnapshotObject)
	if err != nil {
		return nil, fmt.Errorf("get snapshot: %w", err)
	}
	return data, nil
}

// Put stores chunks, then what makes them the object, and then removes all
// chunks before them.
func (b *bucket) Put(ctx context.Context, data []byte) error {
	info := jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: revocation.SnapshotObject, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize}},
		Bucket:     stream.SnapshotBucket, NUID: rand.Text(), Size: uint64(len(data)),
	}
	sum := sha256.Sum256(data)
	info.Digest = "SHA-256=" + base64.URLEncoding.EncodeToString(sum[:])
	first, err := b.chunks(ctx, &info, data)
	if err != nil {
		return fmt.Errorf("put snapshot: %w", err)
	}
	meta, err := b.describe(ctx, &info)
	if err != nil {
		return fmt.Errorf("put snapshot: %w", err)
	}
	if err := b.purgeBefore(ctx, min(first, meta)); err != nil {
		return fmt.Errorf("put snapshot: remove the one before: %w", err)
	}
	return nil
}

// chunks stores data and returns the sequence of the first chunk.
func (b *bucket) chunks(ctx context.Context, info *jetstream.ObjectInfo, data []byte) (first uint64, err error) {
	for chunk := range slices.Chunk(data, chunkSize) {
		ack, err := b.js.Publish(ctx, chunkSubjects+info.NUID, chunk)
		if err != nil {
			return 0, fmt.Errorf("chunk %d: %w", info.Chunks, err)
		}
		if info.Chunks++; first == 0 {
			first = ack.Sequence
		}
	}
	return first, nil
}

func (b *bucket) describe(ctx context.Context, info *jetstream.ObjectInfo) (uint64, error) {
	data, err := json.Marshal(info)
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: metaSubject, Data: data, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}}}
	ack, err := b.js.PublishMsg(ctx, m)
	if err != nil {
		return 0, fmt.Errorf("description: %w", err)
	}
	return ack.Sequence, nil
}

func (b *bucket) purgeBefore(ctx context.Context, seq uint64) error {
	s, err := b.js.Stream(ctx, objectStream)
	if err != nil {
		return err
	}
	return s.Purge(ctx, jetstream.WithPurgeSubject(chunkSubjects+">"), jetstream.WithPurgeSequence(seq))
}

// none reports whether err says that there is no snapshot, rather than that it
// cannot be had.
func none(err error) bool { return errors.Is(err, jetstream.ErrObjectNotFound) }
