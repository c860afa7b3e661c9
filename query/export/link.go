package export

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// secretBytes is how long the secret of a link is: 256 bits.
const secretBytes = 32

// Link is how an export can be fetched. Secret and Passphrase are kept nowhere:
// this is the only time that they are said.
type Link struct {
	Secret     string
	Passphrase string    // empty where it is encrypted to a key
	Until      time.Time // exclusive
	Bytes      int64
}

// link is what is kept of one.
type link struct {
	Until      time.Time   `json:"until"`
	Hash       events.Hash `json:"hash"` // of place and secret
	Generation uint32      `json:"generation"`
	Sealed     []byte      `json:"sealed"` // the header for whom it is for, under the key of the person
}

// hashOf binds a secret to the place that it is for.
func hashOf(place stream.ExportPlace, secret string) events.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "rescind export link\n%s\n%s\n%s\n%s", place.Tenant, place.Subject, place.Export, secret)
	return events.Hash(h.Sum(nil))
}

// Whose is who an export is about. The error wraps ErrGone where there is no such
// export.
func (o *Office) Whose(ctx context.Context, place stream.ExportPlace) (issuer, subject string, err error) {
	_, s, err := o.look(ctx, place)
	if err != nil {
		return "", "", fmt.Errorf("look at export: %w", gone(err))
	}
	return s.Issuer, s.Subject, nil
}

// Issue makes a link to an export, encrypted to a public key of age, or to a
// passphrase where that is empty. A link that was issued before leads nowhere from
// then on. The error wraps ErrGone where there is no such export, and is
// ErrRecipient where to is no key.
func (o *Office) Issue(ctx context.Context, place stream.ExportPlace, to string) (Link, error) {
	recipient, passphrase, err := recipientOf(to)
	if err != nil {
		return Link{}, err
	}
	m, s, err := o.look(ctx, place)
	if err != nil {
		return Link{}, fmt.Errorf("issue link: %w", gone(err))
	}
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	out := Link{Secret: base64.RawURLEncoding.EncodeToString(secret), Passphrase: passphrase, Until: o.until(m)}
	n, err := o.issue(ctx, place, m, s, recipient, &out)
	if err != nil {
		return Link{}, fmt.Errorf("issue link: %w", gone(err))
	}
	out.Bytes = m.Bytes - int64(len(m.Header)) + int64(n)
	return out, nil
}

func recipientOf(to string) (r age.Recipient, passphrase string, err error) {
	if to != "" {
		r, err = ParseRecipient(to)
		return r, "", err
	}
	passphrase = newPassphrase()
	r, err = toPassphrase(passphrase)
	return r, passphrase, err
}

// until is when a link ends that is issued now.
func (o *Office) until(m *made) time.Time {
	end := o.cfg.Now().Add(o.cfg.LinkTTL).UTC().Truncate(time.Second)
	if end.After(m.Until) {
		return m.Until
	}
	return end
}

// issue stores the link. It returns the length of its header.
func (o *Office) issue(ctx context.Context, place stream.ExportPlace, m *made, s *secrets, to age.Recipient, out *Link) (int, error) {
	identity, err := age.ParseX25519Identity(s.Identity)
	if err != nil {
		return 0, err
	}
	header, err := rewrap(m.Header, identity, to)
	if err != nil {
		return 0, err
	}
	key, err := o.keyOf(ctx, &Order{Tenant: place.Tenant, Issuer: s.Issuer, Subject: s.Subject, Ref: place.Subject})
	if err != nil {
		return 0, err
	}
	l := link{Until: out.Until, Hash: hashOf(place, out.Secret), Generation: key.Generation}
	if l.Sealed, err = key.Seal(place.Tenant, sealedLink, place.Export.String()+l.Hash.String(), header); err != nil {
		return 0, err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return 0, err
	}
	return len(header), o.cfg.Store.Put(ctx, place, stream.ExportLink, b)
}

// look reads what is known of a whole export. It is the same for all who may
// have it.
func (o *Office) look(ctx context.Context, place stream.ExportPlace) (*made, *secrets, error) {
	b, err := o.cfg.Store.Get(ctx, place, stream.ExportMade)
	if err != nil {
		return nil, nil, err
	}
	m := new(made)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, nil, err
	}
	if !o.cfg.Now().Before(m.Until) {
		return nil, nil, fmt.Errorf("too old: %w", ErrGone)
	}
	plain, err := o.open(ctx, place, sealedMade, "", m.Generation, m.Sealed)
	if err != nil {
		return nil, nil, err
	}
	s := new(secrets)
	return m, s, json.Unmarshal(plain, s)
}

func (o *Office) open(ctx context.Context, place stream.ExportPlace, source, suffix string, generation uint32, sealed []byte) ([]byte, error) {
	return o.cfg.Keyring.Open(ctx, seal.OpenRequest{
		Tenant: place.Tenant, Source: source, ID: place.Export.String() + suffix, Ref: place.Subject, Generation: generation, Sealed: sealed,
	})
}

// Download is an export that may be sent, once that is recorded.
type Download struct {
	Issuer, Subject string // whose it is
	Bytes           int64
	Until           time.Time

	office *Office
	place  stream.ExportPlace
	secret string
	made   *made
	header []byte
}

// Open is the download that a secret leads to. The error wraps ErrGone, whatever
// is wrong with the secret, or the place.
func (o *Office) Open(ctx context.Context, place stream.ExportPlace, secret string) (*Download, error) {
	d := &Download{office: o, place: place, secret: secret}
	if err := d.open(ctx); err != nil {
		return nil, fmt.Errorf("open link: %w", gone(err))
	}
	return d, nil
}

func (d *Download) open(ctx context.Context) error {
	l, err := d.link(ctx)
	if err != nil {
		return err
	}
	m, s, err := d.office.look(ctx, d.place)
	if err != nil {
		return err
	}
	header, err := d.office.open(ctx, d.place, sealedLink, l.Hash.String(), l.Generation, l.Sealed)
	if err != nil {
		return err
	}
	d.Issuer, d.Subject, d.made, d.header, d.Until = s.Issuer, s.Subject, m, header, l.Until
	d.Bytes = m.Bytes - int64(len(m.Header)) + int64(len(header))
	return nil
}

// link is the one that leads here, where it is the newest and lasts.
func (d *Download) link(ctx context.Context) (*link, error) {
	b, err := d.office.cfg.Store.Get(ctx, d.place, stream.ExportLink)
	if err != nil {
		return nil, err
	}
	l := new(link)
	if err := json.Unmarshal(b, l); err != nil {
		return nil, err
	}
	want := hashOf(d.place, d.secret)
	if subtle.ConstantTimeCompare(want[:], l.Hash[:]) != 1 {
		return nil, fmt.Errorf("wrong: %w", ErrGone)
	}
	if !d.office.cfg.Now().Before(l.Until) {
		return nil, fmt.Errorf("expired: %w", ErrGone)
	}
	return l, nil
}

// Again says whether the link still leads here: ErrGone where the person was
// forgotten since, or another link was issued. It is asked after the download
// was recorded.
func (d *Download) Again(ctx context.Context) error {
	if err := d.open(ctx); err != nil {
		return fmt.Errorf("open link: %w", gone(err))
	}
	return nil
}

// Send writes the export: Bytes bytes where it returns nil, else fewer.
func (d *Download) Send(ctx context.Context, w io.Writer) error {
	if _, err := w.Write(d.header); err != nil {
		return fmt.Errorf("send export: %w", err)
	}
	if err := d.made.send(ctx, d.office.cfg.Store, d.place, w); err != nil {
		return fmt.Errorf("send export: %w", err)
	}
	return nil
}
