package export_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/query/export"
)

// TestHandingOut is what may happen to an export once it is made, each with
// people of its own.
func TestHandingOut(t *testing.T) {
	t.Parallel()
	h := build(t)
	for name, check := range map[string]func(*house){
		"key": encryptedToKey, "links": linksThatLeadNowhere, "time": linksEnd, "erased": goneWithThePerson, "came back": goneWhenTheyCameBack,
		"secrets": secretsAreKeptNowhere, "torn": tornIsNeverServed, "changed": changedIsNeverWhole, "interrupted": interruptedLeavesNothing,
		"forgotten meanwhile": forgottenMeanwhile, "dropped": droppedIsSaid,
	} {
		t.Run(name, func(t *testing.T) {
			part := *h
			part.t = t
			check(&part)
		})
	}
}

// made is the export of somebody who is new.
func (h *house) made(subject string) export.Made {
	h.t.Helper()
	p := person("acme", subject)
	h.meet(p, 3)
	return h.make(h.order(export.Access, p))
}

func (h *house) issue(place stream.ExportPlace, to string) export.Link {
	h.t.Helper()
	l, err := h.Issue(h.t.Context(), place, to)
	h.check(err)
	return l
}

// wantGone checks that a link leads nowhere.
func (h *house) wantGone(what string, place stream.ExportPlace, secret string) {
	h.t.Helper()
	if _, err := h.Open(h.t.Context(), place, secret); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("%s: %v", what, err)
	}
}

// encryptedToKey: with a public key of the person's, only their private one
// opens the file, and there is no passphrase; classic and post-quantum.
func encryptedToKey(h *house) {
	place := h.made("key").Place
	classic, err := age.GenerateX25519Identity()
	h.check(err)
	hybrid, err := age.GenerateHybridIdentity()
	h.check(err)
	for to, identity := range map[string]age.Identity{classic.Recipient().String(): classic, hybrid.Recipient().String(): hybrid} {
		l := h.issue(place, to)
		if l.Passphrase != "" {
			h.t.Error("there is a passphrase beside the key")
		}
		b := h.fetch(place, l.Secret)
		if l.Bytes != int64(len(b)) {
			h.t.Errorf("%d bytes were announced of %d", l.Bytes, len(b))
		}
		if got := unpack(h.t, b, identity); len(got.items) < 3 || got.document.Subject.Subject != "key" {
			h.t.Errorf("%+v", got.document)
		}
		other, err := age.GenerateX25519Identity()
		h.check(err)
		if _, err := age.Decrypt(bytes.NewReader(b), other); err == nil {
			h.t.Error("another key opens it")
		}
	}
	for _, to := range []string{"age1", "AGE-SECRET-KEY-1", classic.Recipient().String() + "\n" + classic.Recipient().String(), "ssh-ed25519 AAAA", strings.Repeat("a", 5000)} {
		if _, err := h.Issue(h.t.Context(), place, to); !errors.Is(err, export.ErrRecipient) {
			h.t.Errorf("%.20q: %v", to, err)
		}
	}
}

// linksThatLeadNowhere: a wrong one, one of another export, person or tenant, and
// one that another took the place of.
func linksThatLeadNowhere(h *house) {
	place, other := h.made("links").Place, h.made("links-2").Place
	first := h.issue(place, "")
	h.fetch(place, first.Secret)
	of := func(change func(*stream.ExportPlace)) stream.ExportPlace {
		p := place
		change(&p)
		return p
	}
	for what, p := range map[string]stream.ExportPlace{
		"another tenant": of(func(p *stream.ExportPlace) { p.Tenant = "globex" }), "another person": of(func(p *stream.ExportPlace) { p.Subject = other.Subject }),
		"another export": of(func(p *stream.ExportPlace) { p.Export = events.Ref{1} }), "another one's": other,
	} {
		h.wantGone(what, p, first.Secret)
	}
	for _, secret := range []string{"", "x", first.Secret[1:], first.Secret + "A", strings.ToLower(first.Secret), strings.Repeat("A", 43)} {
		h.wantGone("a wrong secret", place, secret)
	}
	theirs := h.issue(other, "")
	h.wantGone("the secret of another", place, theirs.Secret)
	b, err := h.cfg.Store.Get(h.t.Context(), other, stream.ExportLink)
	h.check(err)
	h.check(h.cfg.Store.Put(h.t.Context(), place, stream.ExportLink, b))
	h.wantGone("another one's link in its place", place, theirs.Secret)
	second := h.issue(place, "")
	h.wantGone("one that was issued before", place, first.Secret)
	h.fetch(place, second.Secret)
	if len(second.Secret) != 43 || second.Secret == first.Secret || second.Passphrase == first.Passphrase || len(strings.ReplaceAll(second.Passphrase, "-", "")) != 26 {
		h.t.Error("a link or passphrase can be guessed")
	}
}

// linksEnd at their time, and exports at theirs, whatever links say.
func linksEnd(h *house) {
	made := h.made("time")
	l := h.issue(made.Place, "")
	defer h.at(time.Time{})
	h.at(l.Until.Add(-time.Second))
	h.fetch(made.Place, l.Secret)
	h.at(l.Until)
	h.wantGone("an old link", made.Place, l.Secret)
	h.at(made.Until.Add(-time.Second))
	last := h.issue(made.Place, "")
	if !last.Until.Equal(made.Until) {
		h.t.Errorf("a link lasts until %s, the export until %s", last.Until, made.Until)
	}
	h.at(made.Until)
	if _, err := h.Issue(h.t.Context(), made.Place, ""); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("an old export: %v", err)
	}
}

// goneWithThePerson: once their key is destroyed nothing is had of their exports,
// though all of it is there still; then it is removed.
func goneWithThePerson(h *house) {
	place := h.made("erased").Place
	l := h.issue(place, "")
	open, err := h.Open(h.t.Context(), place, l.Secret)
	h.check(err)
	h.forget(person("acme", "erased"))
	if err := open.Again(h.t.Context()); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("a download that was recorded before: %v", err)
	}
	h.wantGone("after the erasure", place, l.Secret)
	if _, err := h.Issue(h.t.Context(), place, ""); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("another link: %v", err)
	}
	if _, _, err := h.Whose(h.t.Context(), place); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("whose it was: %v", err)
	}
	_, err = h.cfg.Store.Get(h.t.Context(), place, stream.ExportMade)
	h.check(err)
	h.check(h.Forget(h.t.Context(), place.Tenant, place.Subject))
	h.wantNothing(place)
}

func (h *house) wantNothing(place stream.ExportPlace) {
	h.t.Helper()
	for _, part := range []string{stream.ExportChunk(0), stream.ExportMade, stream.ExportLink} {
		if _, err := h.cfg.Store.Get(h.t.Context(), place, part); !errors.Is(err, stream.ErrNotFound) {
			h.t.Errorf("%s: %v", part, err)
		}
	}
}

// goneWhenTheyCameBack: whoever is known again has nothing of who they were.
func goneWhenTheyCameBack(h *house) {
	p := person("acme", "back")
	before := h.order(export.Access, h.known(p))
	made := h.make(before)
	l := h.issue(made.Place, "")
	h.forget(p)
	h.renew(p)
	h.meet(p, 1)
	h.wantGone("an export from before", made.Place, l.Secret)
	if _, err := h.Make(h.t.Context(), before); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("a request from before: %v", err)
	}
	if now := h.make(h.order(export.Access, p)); now.Events < 1 || len(h.read(now.Place).items) != now.Events {
		h.t.Errorf("%+v", now)
	}
}

// known is p, of whom there are events.
func (h *house) known(p seal.Person) seal.Person {
	h.t.Helper()
	h.meet(p, 3)
	return p
}

// secretsAreKeptNowhere: neither the secret of a link nor its passphrase is on
// disk, nor the person in the clear.
func secretsAreKeptNowhere(h *house) {
	place := h.made("nobody-must-find-me@example.com").Place
	l := h.issue(place, "")
	h.fetch(place, l.Secret)
	for what, value := range map[string]string{
		"secret": l.Secret, "passphrase": l.Passphrase, "its digits": strings.ReplaceAll(l.Passphrase, "-", ""), "subject": "nobody-must-find-me",
		"identity": "AGE-SECRET-KEY-1",
	} {
		if found := h.onDisk(value); len(found) != 0 {
			h.t.Errorf("the %s is in %v", what, found)
		}
	}
	if len(h.onDisk("age-encryption.org/v1")) == 0 {
		h.t.Error("the scan finds nothing that is there")
	}
}

// onDisk is the files of the server that hold a value.
func (h *house) onDisk(value string) (found []string) {
	h.t.Helper()
	dir := filepath.Dir(h.kit.NATS.CredsFile(natsd.API))
	for filepath.Base(dir) != "nats" {
		dir = filepath.Dir(dir)
	}
	h.check(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // the server removes files as it likes
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte(value)) {
			found = append(found, path)
		}
		return nil
	}))
	return found
}

// failing is a store that does not take one part.
type failing struct {
	export.Store
	part string
	put  bool // though it says so
}

var errFull = errors.New("no space left")

func (f failing) Put(ctx context.Context, p stream.ExportPlace, part string, body []byte) error {
	if part != f.part {
		return f.Store.Put(ctx, p, part, body)
	}
	if f.put {
		_ = f.Store.Put(ctx, p, part, body)
	}
	return errFull
}

func (h *house) with(s export.Store) *export.Office {
	h.t.Helper()
	cfg := h.cfg
	cfg.Store = s
	o, err := export.New(cfg)
	h.check(err)
	return o
}

// interruptedLeavesNothing: an export of which a part was not stored, or not
// known to be, is none.
func interruptedLeavesNothing(h *house) {
	p := h.known(person("acme", "interrupted"))
	for _, part := range []string{stream.ExportChunk(0), stream.ExportMade} {
		for _, put := range []bool{false, true} {
			seen := &places{Store: failing{h.cfg.Store, part, put}}
			if _, err := h.with(seen).Make(h.t.Context(), h.order(export.Access, p)); !errors.Is(err, errFull) {
				h.t.Errorf("%s: %v", part, err)
			}
			for _, place := range seen.all {
				h.wantNothing(place)
			}
			if len(seen.all) != 1 {
				h.t.Errorf("%d exports were begun", len(seen.all))
			}
		}
	}
}

// places is a store that remembers which exports were begun.
type places struct {
	export.Store
	all []stream.ExportPlace
}

func (s *places) Put(ctx context.Context, p stream.ExportPlace, part string, body []byte) error {
	if !slices.Contains(s.all, p) {
		s.all = append(s.all, p)
	}
	return s.Store.Put(ctx, p, part, body)
}

// tornIsNeverServed: without the part that says that it is whole there is no
// export, however much of it is there: as after a crash while it was made.
func tornIsNeverServed(h *house) {
	p := h.known(person("acme", "torn"))
	whole := h.make(h.order(export.Access, p)).Place
	l := h.issue(whole, "")
	torn := whole
	torn.Export = events.Ref{7}
	for _, part := range []string{stream.ExportChunk(0), stream.ExportLink} {
		b, err := h.cfg.Store.Get(h.t.Context(), whole, part)
		h.check(err)
		h.check(h.cfg.Store.Put(h.t.Context(), torn, part, b))
	}
	h.wantGone("an export that is not whole", torn, l.Secret)
	if _, err := h.Issue(h.t.Context(), torn, ""); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("a link to an export that is not whole: %v", err)
	}
}

// changedIsNeverWhole: of an export whose bytes are not those that were made,
// less is sent than was announced.
func changedIsNeverWhole(h *house) {
	place := h.made("changed").Place
	l := h.issue(place, "")
	good, err := h.cfg.Store.Get(h.t.Context(), place, stream.ExportChunk(0))
	h.check(err)
	flipped := slices.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for what, chunk := range map[string][]byte{"flipped": flipped, "cut off": good[:len(good)-1], "longer": append(slices.Clone(good), 0), "empty": {}} {
		h.check(h.cfg.Store.Put(h.t.Context(), place, stream.ExportChunk(0), chunk))
		d, err := h.Open(h.t.Context(), place, l.Secret)
		h.check(err)
		var b bytes.Buffer
		if err := d.Send(h.t.Context(), &b); err == nil || int64(b.Len()) >= d.Bytes {
			h.t.Errorf("%s: sent %d of %d: %v", what, b.Len(), d.Bytes, err)
		}
	}
	h.check(h.cfg.Store.Put(h.t.Context(), place, stream.ExportChunk(0), good))
	h.fetch(place, l.Secret)
}

// forgottenMeanwhile: who is forgotten while their export is made has none.
func forgottenMeanwhile(h *house) {
	p := h.known(person("acme", "meanwhile"))
	order := h.order(export.Access, p)
	seen := &places{Store: h.cfg.Store}
	cfg := h.cfg
	cfg.Store, cfg.Archive = seen, &forgets{Archive: h.cfg.Archive, after: func() { h.forget(p) }}
	o, err := export.New(cfg)
	h.check(err)
	if _, err := o.Make(h.t.Context(), order); !errors.Is(err, export.ErrGone) {
		h.t.Errorf("made all the same: %v", err)
	}
	for _, place := range seen.all {
		h.wantNothing(place)
	}
}

// forgets is an archive that calls after once the last events were read.
type forgets struct {
	export.Archive
	after func()
}

func (f *forgets) Select(ctx context.Context, s export.Selection) ([]export.Part, error) {
	parts, err := f.Archive.Select(ctx, s)
	if s.Relation == export.ReadingOf {
		f.after()
	}
	return parts, err
}

// droppedIsSaid: an event whose personal part retention removed, or that does not
// open, is in the export, and says so.
func droppedIsSaid(h *house) {
	p := h.known(person("acme", "dropped"))
	cfg := h.cfg
	cfg.Archive = damaged{h.cfg.Archive}
	o, err := export.New(cfg)
	h.check(err)
	made, err := o.Make(h.t.Context(), h.order(export.Access, p))
	h.check(err)
	got := h.read(made.Place)
	if got.document.Dropped != 1 || got.document.Unreadable != 1 || got.document.Count < 3 {
		h.t.Errorf("%+v", got.document)
	}
	for why, n := range map[string]int{"dropped": 1, "unreadable": 1} {
		for _, it := range got.items {
			if it.text("sealed") == why && it["sub"] == nil {
				n--
			}
		}
		if n != 0 {
			h.t.Errorf("%d events too few are %s", n, why)
		}
	}
	if !strings.Contains(got.files["index.html"], "Not everything could be read") {
		h.t.Error("the page does not say so")
	}
}

// damaged is an archive without the first personal part, and with another second
// one.
type damaged struct{ export.Archive }

func (d damaged) Select(ctx context.Context, s export.Selection) ([]export.Part, error) {
	parts, err := d.Archive.Select(ctx, s)
	n := 0
	for i := range parts {
		if len(parts[i].Sealed) == 0 {
			continue
		}
		switch n++; n {
		case 1:
			parts[i].Sealed = nil
		case 2:
			parts[i].Sealed = append(slices.Clone(parts[i].Sealed), 1)
		}
	}
	return parts, err
}
