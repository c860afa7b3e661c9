package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

const (
	keyringSource  = "rescind:keyring"
	controlKeyring = "keyring-tampered"
	tamperingWait  = 10 * time.Second
	tamperingRoom  = 256 // what is met while one is published; of more only the count is kept
)

// tampering opens a finding for what the keyring refuses, once a day for each
// kind, tenant and kind of entry: by id, so that of many processes one does.
type tampering struct {
	app   *app
	js    jetstream.JetStream
	found chan seal.Tampering
	total *prometheus.CounterVec
	said  map[string]bool // ids, of the running goroutine
}

// watchTampering is told by a keyring. What it was told is published before the
// connection is closed.
func (a *app) watchTampering(b *bus) func(seal.Tampering) {
	w := &tampering{app: a, js: b.js, found: make(chan seal.Tampering, tamperingRoom), total: a.tampered(), said: map[string]bool{}}
	var running sync.WaitGroup
	quit := make(chan struct{})
	running.Go(func() { w.run(quit) })
	a.closers = append(a.closers, func() { close(quit); running.Wait() })
	return w.tell
}

// tampered counts what all keyrings of this process refuse.
func (a *app) tampered() *prometheus.CounterVec {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rescind_keyring_tampered_total", Help: "Entries and personal parts that were refused because somebody has changed them, by kind.",
	}, []string{"kind"})
	if err := a.registry.Register(total); err != nil { // another keyring of this process has
		return err.(prometheus.AlreadyRegisteredError).ExistingCollector.(*prometheus.CounterVec)
	}
	return total
}

func (w *tampering) tell(t seal.Tampering) {
	w.total.WithLabelValues(string(t.Kind)).Inc()
	select {
	case w.found <- t:
	default:
	}
}

// run opens findings until quit is closed, and those that were found before.
func (w *tampering) run(quit <-chan struct{}) {
	for {
		select {
		case t := <-w.found:
			w.report(t)
			continue
		default:
		}
		select {
		case t := <-w.found:
			w.report(t)
		case <-quit:
			return
		}
	}
}

func (w *tampering) report(t seal.Tampering) {
	if err := w.open(t, time.Now()); err != nil {
		w.app.log.Error("a finding of the keyring is not on the log", "kind", string(t.Kind), "err", err)
	}
}

// open opens the finding, unless this process has today.
func (w *tampering) open(t seal.Tampering, now time.Time) error {
	ev := tamperingFinding(t, now, w.app.cfg.Environment)
	if w.said[ev.ID] {
		return nil
	}
	body, err := events.MarshalEvent(&ev)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), tamperingWait)
	defer cancel()
	if _, err := w.js.Publish(ctx, stream.ServiceSubject(ev.Tenant, ev.Type), body); err != nil {
		return fmt.Errorf("publish %s: %w", ev.Type.Name(), err)
	}
	w.said[ev.ID] = true
	return nil
}

var tamperingTitles = map[seal.TamperKind]string{
	seal.EntryDamaged: "An entry of the keyring does not open under its name",
	seal.EntryForeign: "An entry of the keyring is of an epoch that is over, or of another keyring",
	seal.KeyReturned:  "The key of a forgotten person was put back into the keyring",
	seal.PartDamaged:  "A sealed personal part does not open for its event, person and tenant",
}

// tamperingFinding is the finding of t on the day of now.
func tamperingFinding(t seal.Tampering, now time.Time, environment string) events.Event {
	day := now.UTC().Truncate(24 * time.Hour)
	tenant := t.Tenant
	if !events.ValidTenant(tenant) {
		tenant = systemTenant
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{controlKeyring, string(t.Kind), tenant, t.Entry, day.Format(time.DateOnly)}, "\x00")))
	id := hex.EncodeToString(sum[:16])
	attributes := map[string]string{
		"finding": id, "control": controlKeyring, "severity": "critical", "title": tamperingTitles[t.Kind],
		"clauses": "GDPR 32(1)(b), PCI DSS 11.5.2, SOC 2 CC7.2", "kind": string(t.Kind),
	}
	if t.Entry != "" {
		attributes["entry"] = t.Entry
	}
	return events.Event{
		ID: id, Source: keyringSource, Type: events.FindingOpened, Time: day, Tenant: tenant, Environment: environment,
		Data: events.Data{Actor: keyringSource, Attributes: attributes},
	}
}
