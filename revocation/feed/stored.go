package feed

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// Stored reads what is stored of the feed as it was signed, for who passes it
// on to others. It needs a verifier's permissions, and may be used from any
// goroutine.
type Stored struct {
	store store
	key   ed25519.PublicKey
}

// NewStored reads over conn what key signed.
func NewStored(conn *nats.Conn, key ed25519.PublicKey) *Stored {
	return &Stored{store: store{conn: conn}, key: key}
}

// Last is the last message of the stream of deltas, nil where there is none.
// It may be somebody else's.
func (s *Stored) Last(ctx context.Context) ([]byte, error) { return s.store.last(ctx) }

// After is messages of the stream of deltas behind seq, in order, at most 512
// and 4 MiB, the sequence of the last of them, and whether there are more. They
// may be somebody else's.
func (s *Stored) After(ctx context.Context, seq uint64) (messages [][]byte, last uint64, more bool, err error) {
	return s.store.after(ctx, seq)
}

// Describe describes the newest snapshot.
func (s *Stored) Describe(ctx context.Context) (Object, error) { return s.store.describe(ctx) }

// Fetch is the snapshot that o describes, all of it: where it was replaced
// meanwhile, it is an error. Whether it is signed is for who opens it.
func (s *Stored) Fetch(ctx context.Context, o Object) ([]byte, error) {
	data, err := s.store.chunks(ctx, objectSubjects+".C."+o.NUID, o.Size)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if o.Digest != "SHA-256="+base64.URLEncoding.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("get snapshot: %w: its digest is another", revocation.ErrFormat)
	}
	return data, nil
}

// Keys asks for a page of feed keys, and returns it as it was signed and as it
// was read.
func (s *Stored) Keys(ctx context.Context, request revocation.KeysRequest) (page *revocation.KeysReply, body, signature []byte, err error) {
	question, err := json.Marshal(request)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("request feed keys: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, keysWait)
	defer cancel()
	reply, err := s.store.conn.RequestWithContext(ctx, stream.FeedKeysSubject, question)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("request feed keys: %w: %w", errUnreachable, err)
	}
	if signature, err = base64.StdEncoding.DecodeString(reply.Header.Get(revocation.SignatureHeader)); err != nil {
		return nil, nil, nil, fmt.Errorf("request feed keys: %w", revocation.ErrSignature)
	}
	page, err = revocation.OpenKeys(s.key, reply.Data, signature)
	return page, reply.Data, signature, err
}
