package export

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// What the secrets of an export are sealed for: the source that stands for the
// part. Its id is that of the export.
const (
	sealedMade = "rescind:export:made"
	sealedLink = "rescind:export:link"
)

// made says that an export is whole.
type made struct {
	Until      time.Time   `json:"until"`
	Request    string      `json:"request"`
	Chunks     int         `json:"chunks"`
	Bytes      int64       `json:"bytes"`
	SHA256     events.Hash `json:"sha256"` // of all bytes
	Header     []byte      `json:"header"` // that they begin with
	Generation uint32      `json:"generation"`
	Sealed     []byte      `json:"sealed"` // secrets, under the key of the person
}

func (m *made) digest() [sha256.Size]byte { return m.SHA256 }

// secrets are what the key of a person keeps of an export.
type secrets struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Identity string `json:"identity"` // that Header is for
}

// Make makes the export of an order and stores it whole, durably. Made again, it
// is another one. The error wraps ErrGone where the person was forgotten.
func (o *Office) Make(ctx context.Context, order Order) (Made, error) {
	out, err := o.make(ctx, &order)
	if err != nil {
		return Made{}, fmt.Errorf("make export: %w", gone(err))
	}
	return out, nil
}

func (o *Office) make(ctx context.Context, order *Order) (Made, error) {
	if _, err := o.keyOf(ctx, order); err != nil {
		return Made{}, err
	}
	end, err := o.cfg.Archive.CatchUp(ctx, order.Shard, order.End)
	if err != nil {
		return Made{}, fmt.Errorf("catch up with the log: %w: %w", ErrBehind, err)
	}
	out := Made{Place: newPlace(order), Until: o.cfg.Now().Add(stream.ExportsKept).UTC().Truncate(time.Second), Position: end}
	c := &collector{Office: o, order: order, end: end}
	if out.Events, err = c.store(ctx, &out); err != nil { // nobody can open what was begun, but it takes up room
		return Made{}, errors.Join(err, o.cfg.Store.Drop(context.WithoutCancel(ctx), out.Place))
	}
	return out, nil
}

// End is the index behind the last record that is on the log of a shard now.
func (o *Office) End(ctx context.Context, shard uint16) (uint64, error) {
	return o.cfg.Archive.End(ctx, shard)
}

func newPlace(order *Order) stream.ExportPlace {
	p := stream.ExportPlace{Tenant: order.Tenant, Subject: order.Ref}
	_, _ = rand.Read(p.Export[:]) // never fails
	return p
}

// keyOf is the key of whom an order is about, as it is now. One that came back
// after they were forgotten is another's.
func (o *Office) keyOf(ctx context.Context, order *Order) (seal.SubjectKey, error) {
	key, err := o.cfg.Keyring.Lookup(ctx, seal.Person{Tenant: order.Tenant, Issuer: order.Issuer, Subject: order.Subject})
	if err == nil && (key.Erased || key.Ref != order.Ref) {
		err = seal.ErrDestroyed
	}
	return key, err
}

// store writes the export, and only then that it is whole.
func (c *collector) store(ctx context.Context, out *Made) (n int, err error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return 0, err
	}
	b := newBody(ctx, c.cfg.Store, out.Place)
	if n, err = c.write(ctx, b, identity.Recipient()); err != nil {
		return 0, err
	}
	header, err := age.ExtractHeader(bytes.NewReader(b.begin))
	if err != nil {
		return 0, err
	}
	m := made{
		Until: out.Until, Request: c.order.Request, Chunks: b.chunks, Bytes: b.bytes, SHA256: events.Hash(b.digest.Sum(nil)), Header: header,
	}
	return n, c.commit(ctx, out.Place, &m, secrets{c.order.Issuer, c.order.Subject, identity.String()})
}

// write writes all of the export's bytes.
func (c *collector) write(ctx context.Context, b *body, to age.Recipient) (n int, err error) {
	sealed, err := age.Encrypt(b, to)
	if err != nil {
		return 0, err
	}
	if n, err = c.files(ctx, sealed); err != nil {
		return 0, err
	}
	if err := sealed.Close(); err != nil {
		return 0, err
	}
	return n, b.flush()
}

func (c *collector) files(ctx context.Context, w io.Writer) (int, error) {
	p, s := newPack(w, c.cfg.Now()), newSummary()
	err := c.each(ctx, func(it *Item) error {
		s.add(it)
		return p.add(it)
	})
	if err == nil {
		err = p.flush()
	}
	if err != nil {
		return 0, err
	}
	d := c.document(s, p.files)
	return s.count, p.finish(&d)
}

// commit seals what opens the export and says that it is whole. The key is read
// anew: the person may have been forgotten while it was made.
func (c *collector) commit(ctx context.Context, place stream.ExportPlace, m *made, s secrets) error {
	key, err := c.keyOf(ctx, c.order)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if m.Sealed, err = key.Seal(place.Tenant, sealedMade, place.Export.String(), plain); err != nil {
		return err
	}
	m.Generation = key.Generation
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.cfg.Store.Put(ctx, place, stream.ExportMade, b)
}
