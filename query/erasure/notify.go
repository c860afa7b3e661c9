package erasure

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/recipient"
)

// Outbox keeps the notices that wait for an answer: *stream.Outbox. What is put is
// durable on return, in place of what was there. Get and Tried wrap
// stream.ErrNotFound where nothing is.
type Outbox interface {
	Put(ctx context.Context, n stream.Notice, sealed []byte) error
	Get(ctx context.Context, n stream.Notice) ([]byte, error)
	SetTried(ctx context.Context, n stream.Notice, tried []byte) error
	Tried(ctx context.Context, n stream.Notice) ([]byte, error)
	Purge(ctx context.Context, n stream.Notice) error
}

// Notifying is how recipients are told of erasures.
type Notifying struct {
	// Registry is who has to be told. One that is empty tells nobody.
	Registry *recipient.Registry
	// Disclosures says where a person's data went. Required, with Config.Archive.
	Disclosures Disclosures
	// Outbox is where notices wait. Required.
	Outbox Outbox
	// Sender is how they go. Required.
	Sender callback.Posts

	// Lock is held while notices are sent, so that one process at a time sends.
	// It is another one than Config.Lock: no erasure waits for a recipient. It
	// blocks until it has the lock, and term ends when that is lost: nothing is sent
	// any more. Default none: two workers then send twice.
	Lock func(ctx context.Context) (term context.Context, release func(), err error)

	// First is how long a recipient is left alone after one attempt failed; it
	// doubles up to Most, whatever waits for them. Default 1 min and 6 h.
	First, Most time.Duration

	// Untold is how long nobody has told a recipient before that is a finding.
	// Default 7 days.
	Untold time.Duration
}

func (n *Notifying) withDefaults() *Notifying {
	if n == nil {
		return nil
	}
	c := *n
	for d, or := range map[*time.Duration]time.Duration{&c.First: time.Minute, &c.Most: 6 * time.Hour, &c.Untold: 7 * 24 * time.Hour} {
		if *d == 0 {
			*d = or
		}
	}
	if c.Lock == nil {
		c.Lock = unlocked
	}
	return &c
}

// unlocked is a lock that is not there.
func unlocked(ctx context.Context) (context.Context, func(), error) { return ctx, func() {}, nil }

// inTerm is ctx until term ends.
func inTerm(ctx, term context.Context) (context.Context, func()) {
	ctx, end := context.WithCancel(ctx)
	stop := context.AfterFunc(term, end)
	return ctx, func() { stop(); end() }
}

func (n *Notifying) validate(archive Archive) error {
	switch {
	case n == nil:
		return nil
	case n.Disclosures == nil || n.Outbox == nil || n.Sender == nil || archive == nil:
		return errors.New("notifying: disclosures, outbox, sender and the archive are all needed")
	case n.First < 0 || n.Most < n.First || n.Untold < 0:
		return errors.New("notifying: first, most and untold: want more than 0, and most not below first")
	default:
		return nil
	}
}

// NoticesOf is what the keyring and the outbox know the notices about a request
// by: their key is that of a hold of this name.
func NoticesOf(tenant, request string) events.Ref {
	sum := sha256.Sum256([]byte("notices\x00" + tenant + "\x00" + request))
	return events.Ref(sum[:16])
}

func noticeTo(r *Request, id string) stream.Notice {
	return stream.Notice{Tenant: r.Tenant, Request: NoticesOf(r.Tenant, r.ID), Recipient: id}
}

// KindNotice is the kind of a notice, as a callback.
const KindNotice = "erasure.notice"

// Notice is what a recipient is told, encrypted to them.
type Notice struct {
	Kind       string    `json:"kind"` // KindNotice
	ID         string    `json:"id"`   // of the message
	Request    string    `json:"request"`
	Tenant     string    `json:"tenant"`
	Regulation string    `json:"regulation"`
	Received   time.Time `json:"received"` // when the person asked
	Subject    Subject   `json:"subject"`
}

// Subject is whom a notice is about.
type Subject struct {
	Issuer string `json:"iss"`
	ID     string `json:"sub"`
}

// notifies reports whether there may be somebody to tell of r: not once its key
// is gone.
func (w *Workflow) notifies(r *Request) bool {
	return w.cfg.Notifying != nil && !w.cfg.Notifying.Registry.IsEmpty() && r.State != Partial
}

// prepare writes, while the person can still be named, the notices to all who
// have to be told, and states on the log who that is. Behind the fence, which keep
// has set, nothing new is disclosed; what was sealed before it is waited for, and the
// archive is looked at until it says the same twice.
func (w *Workflow) prepare(ctx context.Context, r *Request) error {
	p, err := w.openFenced(ctx, r)
	if errors.Is(err, seal.ErrDestroyed) {
		return nil // whoever destroyed it had prepared them before
	}
	if err != nil {
		return err
	}
	if w.cfg.Intake != nil {
		if err := w.landed(ctx, r); err != nil {
			return err
		}
	}
	ids, err := w.recipientsOf(ctx, r)
	if err != nil {
		return fmt.Errorf("find recipients: %w", err)
	}
	for _, id := range ids {
		if r.recipient(id) != nil {
			continue
		}
		if err := w.prepareOne(ctx, r, p, id); err != nil {
			return fmt.Errorf("prepare the notice to %s: %w", id, err)
		}
	}
	*r, err = w.Get(r.ID, r.isOf)
	return err
}

// openFenced is open behind the fence.
func (w *Workflow) openFenced(ctx context.Context, r *Request) (events.Personal, error) {
	if r.origin.Record == nil || len(r.origin.Sealed) == 0 {
		return events.Personal{}, fmt.Errorf("open request: %w", seal.ErrDestroyed)
	}
	plain, err := w.cfg.Keyring.OpenFenced(ctx, sealedPart(r.origin.Record, r.origin.Sealed))
	if err != nil {
		return events.Personal{}, fmt.Errorf("open request: %w", err)
	}
	return events.UnmarshalPersonal(plain)
}

// recipientsOf is the ids of all to whom something of r's subject was disclosed.
func (w *Workflow) recipientsOf(ctx context.Context, r *Request) ([]string, error) {
	n, before, looked := w.cfg.Notifying, []string(nil), false
	for {
		if err := w.catchUp(ctx, r); err != nil {
			return nil, err
		}
		d, err := n.Disclosures.Disclosed(ctx, r.Tenant, r.Shard, r.subject)
		if err != nil {
			return nil, err
		}
		ids, strangers := n.Registry.Of(r.Tenant, d)
		if looked && slices.Equal(ids, before) {
			return ids, w.reportStrangers(ctx, r, strangers)
		}
		before, looked = ids, true
	}
}

// prepareOne is durable before it is stated: what the log says is prepared is in
// the outbox. Who has no URL is told by a person.
func (w *Workflow) prepareOne(ctx context.Context, r *Request, p events.Personal, id string) error {
	if to, ok := w.cfg.Notifying.Registry.Get(id); ok && to.URL != "" {
		if err := w.sealNotice(ctx, r, p, &to); err != nil {
			return err
		}
	}
	return w.recordNotice(ctx, r, id, ".prepared.", Pending, "")
}

func (w *Workflow) sealNotice(ctx context.Context, r *Request, p events.Personal, to *recipient.Recipient) error {
	id, err := w.idOf(ctx, r, ".notice."+to.ID)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(Notice{
		Kind: KindNotice, ID: id, Request: r.ID, Tenant: r.Tenant, Regulation: r.Regulation, Received: r.Received,
		Subject: Subject{Issuer: r.origin.Record.Issuer, ID: p.Subject},
	})
	if err != nil {
		return err
	}
	message, err := to.Seal(plain)
	if err != nil {
		return err
	}
	key, err := w.cfg.Keyring.HoldKey(ctx, r.Tenant, NoticesOf(r.Tenant, r.ID))
	if err != nil {
		return err
	}
	sealed, err := key.Seal(r.Tenant, Source, id, message)
	if err != nil {
		return err
	}
	return w.cfg.Notifying.Outbox.Put(ctx, noticeTo(r, to.ID), sealed)
}

func (w *Workflow) recordNotice(ctx context.Context, r *Request, to, step string, d Delivery, reason string) error {
	return w.record(ctx, r, events.RequestNotified, step+to, events.Data{
		Actor: Worker, Reason: reason, Attributes: map[string]string{attrRequest: r.ID, attrRecipient: to, attrDelivery: string(d)},
	})
}

// closeNotices is the ids of those who were not told yet. Where all were, it
// destroys what was kept to tell them: nothing of ours opens to it any more.
func (w *Workflow) closeNotices(ctx context.Context, r *Request) (untold []string, err error) {
	if untold = r.unanswered(); len(untold) > 0 || len(r.Recipients) == 0 {
		return untold, nil
	}
	if err := w.destroyBeside(ctx, r, NoticesOf(r.Tenant, r.ID)); err != nil {
		return nil, err
	}
	if w.cfg.Notifying == nil {
		return nil, nil
	}
	return nil, w.cfg.Notifying.Outbox.Purge(ctx, noticeTo(r, ""))
}

// ControlStranger is what a finding names about an audience that got a person's
// data and that nobody in the registry is for.
const ControlStranger = "recipient-unknown"

var stranger = control{ControlStranger, "medium", "Personal data went to an audience that no recipient is registered for", "GDPR 19; GDPR 30(1)(d)"}

func isStranger(record *events.Record) bool {
	return record.Type == events.FindingOpened && record.Source == Source && record.Attributes["control"] == ControlStranger
}

// strangersNamed is how many audiences one erasure opens findings about: whoever is
// issued tokens may choose their audiences.
const strangersNamed = 10

// reportStrangers opens a finding about each audience that nobody is for, once,
// whoever's erasure comes upon it; and where one comes upon many, first one that says
// of how many none is opened: tried again, it names the rest of the same ones.
func (w *Workflow) reportStrangers(ctx context.Context, r *Request, audiences []string) error {
	fresh := slices.DeleteFunc(slices.Clone(audiences), func(aud string) bool { return w.reported(strangerID(r.Tenant, aud)) })
	more, err := w.reportMore(ctx, r, len(fresh)-strangersNamed)
	if err != nil {
		return fmt.Errorf("open finding: %w", err)
	}
	for _, aud := range fresh[:max(len(fresh)-more, 0)] {
		said := strings.ToValidUTF8(aud[:min(len(aud), 200)], "")
		if err := w.reportStranger(ctx, r.Tenant, strangerID(r.Tenant, aud), map[string]string{attrAudience: said}); err != nil {
			return fmt.Errorf("open finding: %w", err)
		}
	}
	return nil
}

// reportMore says, once for r, that there are so many more strangers than are named, and
// is how many it says that there are.
func (w *Workflow) reportMore(ctx context.Context, r *Request, more int) (int, error) {
	id := events.EventRef(r.Tenant, Source, ControlStranger+"s "+r.ID).String()
	if more > 0 {
		if err := w.reportStranger(ctx, r.Tenant, id, map[string]string{attrRequest: r.ID, attrMore: strconv.Itoa(more)}); err != nil {
			return 0, err
		}
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	said, there := w.book.unknown[id]
	if more > 0 && !there {
		return 0, ErrPending // it is on its way to the log, and says how many are named
	}
	return said, nil
}

// The attributes of a finding about strangers.
const (
	attrAudience = "audience"
	attrMore     = "more" // how many none is opened about
)

func strangerID(tenant, aud string) string {
	return events.EventRef(tenant, Source, ControlStranger+" "+aud).String()
}

func (w *Workflow) reported(id string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, there := w.book.unknown[id]
	return there
}

// reportStranger waits until it is on the log: who comes upon the same audience
// meanwhile would say the same at another time, under the same id.
func (w *Workflow) reportStranger(ctx context.Context, tenant, id string, attributes map[string]string) error {
	w.reporting.Lock()
	defer w.reporting.Unlock()
	if w.reported(id) {
		return nil
	}
	d := stranger.data(id)
	maps.Copy(d.Attributes, attributes)
	ev := w.try(id, events.FindingOpened, tenant, w.cfg.Now(), d)
	err := w.publish(ctx, ev)
	if refusal := (*events.Refusal)(nil); errors.As(err, &refusal) { // cut, it may be what nobody may say: no erasure waits for that
		delete(ev.Data.Attributes, attrAudience) // of what was tried as well
		err = w.publish(ctx, ev)
	}
	if err != nil {
		return err
	}
	if _, err := w.logged(ctx, ev); err == nil { // else it is durable, and said again it is the same
		w.trying.Lock()
		defer w.trying.Unlock()
		delete(w.tried, id)
	}
	return nil
}

// data is what a finding of the kind says.
func (c *control) data(id string) events.Data {
	return events.Data{Actor: Worker, Attributes: map[string]string{
		"finding": id, "control": c.id, "severity": c.severity, "title": c.title, "clauses": c.clauses,
	}}
}
