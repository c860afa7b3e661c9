package revoke

import (
	"cmp"
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
// chunks before those of the object that it replaced: whoever reads that one has
// until the next is stored. errFenced means that another was stored meanwhile;
// then nothing is replaced.
func (b *bucket) Put(ctx context.Context, data []byte) error {
	before, err := b.described(ctx)
	if err != nil {
		return fmt.Errorf("put snapshot: %w", err)
	}
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
	meta, err := b.describe(ctx, &info, before.seq)
	if errors.Is(err, errFenced) {
		err = errors.Join(err, b.purge(ctx, jetstream.WithPurgeSubject(chunkSubjects+info.NUID)))
	}
	if err != nil {
		return fmt.Errorf("put snapshot: %w", err)
	}
	if err := b.purge(ctx, jetstream.WithPurgeSubject(chunkSubjects+">"), jetstream.WithPurgeSequence(cmp.Or(before.first, first, meta))); err != nil {
		return fmt.Errorf("put snapshot: remove what is before the one before: %w", err)
	}
	return nil
}

// described is where an object is: the sequences of its description and of its
// first chunk, 0 where there is none.
type described struct{ seq, first uint64 }

// described is where the object is that a Put replaces.
func (b *bucket) described(ctx context.Context) (d described, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	seq, data, err := message(ctx, b.js, objectStream, lastOf{metaSubject})
	if err != nil || data == nil {
		return d, err
	}
	d.seq = seq
	var info jetstream.ObjectInfo
	if json.Unmarshal(data, &info) != nil || info.NUID == "" {
		return d, nil // not ours: it is replaced, and keeps nothing
	}
	d.first, _, err = message(ctx, b.js, objectStream, nextOf{1, chunkSubjects + info.NUID})
	return d, err
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

// describe makes the chunks of info the object in the place of the one that was
// described by the message with the sequence before.
func (b *bucket) describe(ctx context.Context, info *jetstream.ObjectInfo, before uint64) (uint64, error) {
	data, err := json.Marshal(info)
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: metaSubject, Data: data, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}}}
	ack, err := b.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(before))
	if wrongLast(err) {
		err = errFenced
	}
	if err != nil {
		return 0, fmt.Errorf("description after=%d: %w", before, err)
	}
	return ack.Sequence, nil
}

func (b *bucket) purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	s, err := b.js.Stream(ctx, objectStream)
	if err != nil {
		return err
	}
	return s.Purge(ctx, opts...)
}

// none reports whether err says that there is no snapshot, rather than that it
// cannot be had.
func none(err error) bool { return errors.Is(err, jetstream.ErrObjectNotFound) }
