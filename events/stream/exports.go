package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// ExportsKept is how long an export of a data subject's data is kept: then it
// has to be made anew.
const ExportsKept = 30 * 24 * time.Hour

// exportsSlack is how much longer the stream keeps the parts of an export than
// anybody is served it, so that one whose making took long loses none before.
const exportsSlack = 2 * 24 * time.Hour

// MaxExportChunk bounds one part of an export's bytes.
const MaxExportChunk = 512 << 10

// ExportPlace names one export: whose, by the reference that they had when it
// was made, and which.
type ExportPlace struct {
	Tenant          string
	Subject, Export events.Ref
}

func (p ExportPlace) valid() error {
	if !events.ValidTenant(p.Tenant) || p.Subject.IsZero() || p.Export.IsZero() {
		return errors.New("want a tenant, a subject and an export")
	}
	return nil
}

// ofPerson is the subjects of all exports of a person.
func ofPerson(tenant string, subject events.Ref) string {
	return exportsPrefix + tenant + "." + subject.String() + "."
}

func (p ExportPlace) of() string { return ofPerson(p.Tenant, p.Subject) + p.Export.String() + "." }

// The parts of an export beside its chunks. There is one of each at a time.
const (
	ExportMade = "made" // says that it is whole
	ExportLink = "link" // who may have it
)

// ExportChunk is the part that holds the nth of its bytes.
func ExportChunk(n int) string { return "b." + strconv.Itoa(n) }

// Exports keeps what was made of requests for access and portability, one
// message a part. It may be used from any goroutine.
type Exports struct{ js jetstream.JetStream }

// NewExports is the stream that Ensure made.
func NewExports(js jetstream.JetStream) *Exports { return &Exports{js} }

// Put is durable on return, and takes the place of what was there.
func (e *Exports) Put(ctx context.Context, p ExportPlace, part string, body []byte) error {
	err := p.valid()
	if err == nil {
		_, err = e.js.Publish(ctx, p.of()+part, body, jetstream.WithExpectStream(ExportsStream))
	}
	if err != nil {
		return fmt.Errorf("put export part=%s: %w", part, err)
	}
	return nil
}

// Get is what was put last. The error wraps ErrNotFound where nothing was, or it
// is gone.
func (e *Exports) Get(ctx context.Context, p ExportPlace, part string) ([]byte, error) {
	err := p.valid()
	var m stored
	if err == nil {
		m, err = get{LastFor: p.of() + part}.from(ctx, e.js, ExportsStream)
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get export part=%s: %w", part, err)
	}
	return m.Data, nil
}

// Drop removes one export.
func (e *Exports) Drop(ctx context.Context, p ExportPlace) error {
	err := p.valid()
	if err == nil {
		err = e.purge(ctx, p.of()+">")
	}
	if err != nil {
		return fmt.Errorf("drop export: %w", err)
	}
	return nil
}

// DropAll removes every export of a person, begun or whole. What is removed
// stays in the files of the server for a while: their key is to be destroyed
// before.
func (e *Exports) DropAll(ctx context.Context, tenant string, subject events.Ref) error {
	if !events.ValidTenant(tenant) || subject.IsZero() {
		return errors.New("drop exports: want a tenant and a subject")
	}
	if err := e.purge(ctx, ofPerson(tenant, subject)+">"); err != nil {
		return fmt.Errorf("drop exports: %w", err)
	}
	return nil
}

// People is whose exports are there, begun or whole, by the references that they
// had when theirs was made.
func (e *Exports) People(ctx context.Context) (map[seal.Reference]bool, error) {
	s, err := e.js.Stream(ctx, ExportsStream)
	if err != nil {
		return nil, fmt.Errorf("list exports: %w", err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(ExportSubjects))
	if err != nil {
		return nil, fmt.Errorf("list exports: %w", err)
	}
	people := map[seal.Reference]bool{}
	for subject := range info.State.Subjects {
		tenant, rest, _ := strings.Cut(strings.TrimPrefix(subject, exportsPrefix), ".")
		of, _, _ := strings.Cut(rest, ".")
		ref, err := events.ParseRef(of)
		if err != nil {
			return nil, fmt.Errorf("list exports: %w", err)
		}
		people[seal.Reference{Tenant: tenant, Ref: ref}] = true
	}
	return people, nil
}

func (e *Exports) purge(ctx context.Context, subjects string) error {
	s, err := e.js.Stream(ctx, ExportsStream)
	if err != nil {
		return err
	}
	return s.Purge(ctx, jetstream.WithPurgeSubject(subjects))
}
