package app

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/projector/intakekey"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/query/verifiers"
	"github.com/rescindhq/rescind/revocation/feed"
)

// meter is where metrics are published.
type meter struct{ prometheus.Registerer }

// meter publishes what there is once in a process, meterOf what there is once a
// shard: it is labelled with it.
func (a *app) meter() meter { return meter{a.registry} }

func (a *app) meterOf(shard uint16) meter {
	return meter{prometheus.WrapRegistererWith(prometheus.Labels{"shard": strconv.Itoa(int(shard))}, a.registry)}
}

// count publishes a value that only grows, gauge one that does not.
func (m meter) count(name, help string, value func() float64) {
	m.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "rescind_" + name, Help: help}, value))
}

func (m meter) gauge(name, help string, value func() float64) {
	m.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "rescind_" + name, Help: help}, value))
}

// probe is asked by GET /readyz.
func (a *app) probe(name string, required bool, check func() query.Condition) {
	a.probes = append(a.probes, query.Probe{Name: name, Required: required, Check: func(context.Context) query.Condition { return check() }})
}

// probeOf is probe for one of several shards.
func (a *app) probeOf(shard uint16, name string, required bool, check func() query.Condition) {
	if a.cfg.Shards > 1 {
		name = fmt.Sprintf("%s-%d", name, shard)
	}
	a.probe(name, required, check)
}

func (a *app) watchIntake(in *intake.Intake, shard uint16) {
	m := a.meterOf(shard)
	of := func(pick func(intake.Stats) uint64) func() float64 {
		return func() float64 { return float64(pick(in.Stats())) }
	}
	m.count("intake_messages_total", "Messages taken from the intake.", of(func(s intake.Stats) uint64 { return s.Messages }))
	m.count("intake_records_total", "Records appended to the log, findings included.", of(func(s intake.Stats) uint64 { return s.Records }))
	m.count("intake_batches_total", "Batches appended to the log.", of(func(s intake.Stats) uint64 { return s.Batches }))
	m.count("intake_findings_total", "Findings opened.", of(func(s intake.Stats) uint64 { return s.Findings }))
	m.count("intake_duplicates_total", "Events dropped because they were logged before.", of(func(s intake.Stats) uint64 { return s.Duplicates }))
	m.count("intake_unsettled_total", "Appends whose outcome had to be read back.", of(func(s intake.Stats) uint64 { return s.Unsettled }))
	m.count("intake_skipped_total", "Messages acknowledged because they were dealt with before.", of(func(s intake.Stats) uint64 { return s.Skipped }))
	m.count("intake_redelivered_total", "Messages taken that had been delivered before.", of(func(s intake.Stats) uint64 { return s.Redelivered }))
	m.count("intake_held_total", "Messages left to be delivered again, for want of keys or quarantine.", of(func(s intake.Stats) uint64 { return s.Held }))
	m.count("intake_resyncs_total", "Times this intake began to write behind the end of the log.", of(func(s intake.Stats) uint64 { return s.Terms }))
	m.count("intake_defects_total", "Panics of the intake's own code, each on one event.", of(func(s intake.Stats) uint64 { return s.Defects }))
	m.gauge("intake_standby", "1 while another intake writes.", func() float64 {
		if in.Stats().Standby {
			return 1
		}
		return 0
	})
	m.gauge("intake_lag_messages", "Messages that wait in the intake stream, as of the latest that were taken.", of(func(s intake.Stats) uint64 { return s.Lag }))
	m.gauge("intake_batch_records", "Records of the batch that was appended last.", of(func(s intake.Stats) uint64 { return uint64(s.LastBatch) }))
	m.gauge("intake_oldest_seconds", "Age of the oldest message that was taken and is not logged; 0 where there is none.", func() float64 {
		oldest := in.Stats().Oldest
		if oldest.IsZero() {
			return 0
		}
		return time.Since(oldest).Seconds()
	})
	m.gauge("log_size", "Records in the log.", of(func(s intake.Stats) uint64 { return s.Size }))
	m.MustRegister(refused{in})
	a.probeOf(shard, "intake", true, func() query.Condition {
		select {
		case <-in.Ready():
			return intakeCondition(in.Stats())
		default:
			return query.Condition{Detail: "reading the log"}
		}
	})
}

func (a *app) watchIntakeKeys(k *intakekey.Keeper) {
	m := a.meter()
	m.gauge("intake_keys", "Keys that open what publishers encrypted.", func() float64 { return float64(k.Status().Keys) })
	m.gauge("intake_keys_overdue", "Of them, those that are past their end and not destroyed: something in the intake may need them.", func() float64 { return float64(k.Status().Overdue) })
	m.gauge("intake_key_expires_seconds", "When the last of them ends, in seconds since 1970.", func() float64 { return float64(k.Status().Expires.Unix()) })
}

// intakeCondition is that of an intake which can write. One that stands by is
// as ready as the one that writes.
func intakeCondition(s intake.Stats) query.Condition {
	c := query.Condition{OK: true, Position: s.Size}
	switch {
	case s.Standby:
		c.Detail = "standby"
	case s.Lag > 0:
		c.Detail = fmt.Sprintf("%d messages wait", s.Lag)
	}
	return c
}

// refused counts quarantined events by reason.
type refused struct{ in *intake.Intake }

var refusedDesc = prometheus.NewDesc("rescind_intake_refused_total", "Events put into quarantine, by reason.", []string{"reason"}, nil)

// Describe implements prometheus.Collector.
func (refused) Describe(c chan<- *prometheus.Desc) { c <- refusedDesc }

// Collect implements prometheus.Collector.
func (r refused) Collect(c chan<- prometheus.Metric) {
	for reason, n := range r.in.Stats().Refused {
		c <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(n), string(reason))
	}
}

// quarantineWait bounds counting the quarantine for one scrape.
const quarantineWait = 2 * time.Second

// watchQuarantine counts what is kept in the stream, whoever refused it. It is
// -1 where that cannot be had.
func (a *app) watchQuarantine(q *stream.Quarantine) {
	a.meter().gauge("quarantine_entries", "Refused events that are kept; -1: not known.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), quarantineWait)
		defer cancel()
		n, err := q.Entries(ctx)
		if err != nil {
			return -1
		}
		return float64(n)
	})
}

func (a *app) watchAudit(p *audit.Projector, shard uint16) {
	m := a.meterOf(shard)
	of := func(pick func(audit.Status) float64) func() float64 {
		return func() float64 { return pick(p.Status()) }
	}
	age := func(s audit.Status) float64 { return s.Lag(time.Now()).Seconds() }
	m.gauge("audit_position", "Index of the first record that ClickHouse does not hold.", of(func(s audit.Status) float64 { return float64(s.Next) }))
	m.gauge("audit_lag_seconds", "Age of the oldest batch of the log that is not recorded.", of(age))
	m.gauge("audit_oldest_unprojected_seconds", "Seconds since the oldest batch that is not recorded was written to the log; 0: all is recorded.", of(age))
	m.gauge("audit_behind_records", "Records of the log that are not recorded.", of(func(s audit.Status) float64 { return float64(s.Behind().Records) }))
	m.gauge("audit_behind_batches", "Batches of the log that are not recorded.", of(func(s audit.Status) float64 { return float64(s.Behind().Batches) }))
	m.gauge("audit_batch_rows", "Records in the last insert.", of(func(s audit.Status) float64 { return float64(s.LastRows) }))
	m.count("audit_rows_total", "Records recorded.", of(func(s audit.Status) float64 { return float64(s.Rows) }))
	m.count("audit_inserts_total", "Inserts recorded.", of(func(s audit.Status) float64 { return float64(s.Inserts) }))
	m.count("audit_resyncs_total", "Times that what is there was read back, the first included.", of(func(s audit.Status) float64 { return float64(s.Recoveries) }))
	m.count("audit_duplicates_total", "Events found that repeat one which the intake no longer remembered.", of(func(s audit.Status) float64 { return float64(s.Duplicates) }))
	// Not required: the rest goes on without ClickHouse.
	a.probeOf(shard, "audit", false, func() query.Condition { return auditCondition(p.Status(), time.Now()) })
}

// patience is how long an answer of ClickHouse may take before it is news: a
// large insert under load takes less.
const patience = 3 * time.Second

func auditCondition(s audit.Status, now time.Time) query.Condition {
	c := query.Condition{OK: s.Current || s.Standby, Position: s.Next, Lag: s.Behind().Records}
	switch silent := now.Sub(s.Waiting); {
	case !s.Waiting.IsZero() && silent > patience:
		c.OK, c.Detail = false, fmt.Sprintf("clickhouse has not answered for %s", silent.Truncate(time.Second))
	case s.Stopped && !c.OK:
		c.Detail = "stopped: the log or the tables are not as they should be"
	case s.Err != nil && !c.OK:
		c.Detail = fmt.Sprintf("clickhouse does not answer: %d failures in a row", s.Failures)
	}
	if b := s.Behind(); b.Records > 0 && !c.OK {
		c.Detail = strings.TrimPrefix(fmt.Sprintf("%s; %d records in %d batches behind the log, the oldest for %s",
			c.Detail, b.Records, b.Batches, s.Lag(now).Truncate(time.Millisecond)), "; ")
	}
	return c
}

func (a *app) watchRevoke(r *revoke.Revoker) {
	m := a.meter()
	m.count("revoke_deltas_total", "Deltas published, heartbeats among them.", func() float64 { return float64(r.Stats().Deltas) })
	m.count("revoke_entries_total", "Revocations and lifts published.", func() float64 { return float64(r.Stats().Entries) })
	m.MustRegister(byReason{r})
	m.count("revoke_snapshots_total", "Snapshots stored.", func() float64 { return float64(r.Stats().Snapshots) })
	m.gauge("revoke_clock_ahead_seconds", "How far the clock here is ahead of the NATS server's, as far as that is certain; below 0: behind.", func() float64 { return r.Stats().ClockAhead.Seconds() })
	for k := range uint16(a.cfg.Shards) {
		a.meterOf(k).gauge("revoke_position", "Index of the last control record in the feed.", func() float64 { return float64(r.Stats().PositionOf(k)) })
	}
	a.probe("revoke", false, func() query.Condition { return revokeCondition(r.Stats()) })
}

// byReason counts revocations by reason: those of our list, and "other".
type byReason struct{ r *revoke.Revoker }

var byReasonDesc = prometheus.NewDesc("rescind_revoke_revocations_total", "Revocations published, by reason.", []string{"reason"}, nil)

// Describe implements prometheus.Collector.
func (byReason) Describe(c chan<- *prometheus.Desc) { c <- byReasonDesc }

// Collect implements prometheus.Collector.
func (b byReason) Collect(c chan<- prometheus.Metric) {
	for reason, n := range b.r.Stats().Reasons {
		c <- prometheus.MustNewConstMetric(byReasonDesc, prometheus.CounterValue, float64(n), reason)
	}
}

// revokeCondition is that of a projector whose clock may be wrong: it goes on,
// but somebody must see to it.
func revokeCondition(s revoke.Stats) query.Condition {
	c := query.Condition{OK: !s.ClockOff, Position: s.Position}
	switch ahead := s.ClockAhead.Truncate(time.Second); {
	case s.ClockOff && ahead > 0:
		c.Detail = fmt.Sprintf("our clock is %s ahead of the nats server's: what is revoked leaves by the server's", ahead)
	case s.ClockOff:
		c.Detail = fmt.Sprintf("our clock is %s behind the nats server's: verifiers may take what they hear for old", -ahead)
	}
	return c
}

func (a *app) watchVerifiers(r *verifiers.Registry) {
	m := a.meter()
	m.gauge("verifiers_registered", "Verifiers that report how far they are, silent ones included.", func() float64 { return float64(r.Stats().Registered) })
	m.gauge("verifiers_fresh", "Verifiers heard within the last five seconds.", func() float64 { return float64(r.Stats().Fresh) })
	m.count("receipts_total", "Receipts of verifiers that were heard.", func() float64 { return float64(r.Stats().Receipts) })
	m.count("receipts_refused_total", "Receipts dropped: not one, of another's id, too large, or without room.", func() float64 { return float64(r.Stats().Refused) })
}

// watchRequests shows how handlers stand with their deadlines. It makes nobody
// unready: a late answer is no fault of a process.
func (a *app) watchRequests(w *erasure.Workflow) {
	m := a.meter()
	stat := func(of func(erasure.Stats) int) func() float64 {
		return func() float64 { return float64(of(w.Stats())) }
	}
	m.gauge("requests_open", "Requests of data subjects that are not answered.", stat(func(s erasure.Stats) int { return s.Open }))
	m.gauge("requests_due_soon", "Of these, due within seven days.", stat(func(s erasure.Stats) int { return s.Soon }))
	m.gauge("requests_overdue", "Of these, not answered in time.", stat(func(s erasure.Stats) int { return s.Overdue }))
	m.gauge("requests_partial", "Requests that were carried out but for what is held, or recipients who were not told.", stat(func(s erasure.Stats) int { return s.Partial }))
	m.gauge("requests_renewals", "Renewals that were begun and neither completed nor cancelled: the person may be known already.", stat(func(s erasure.Stats) int { return s.Renewals }))
	m.gauge("recipients_untold", "Recipients who were not told of an erasure yet.", stat(func(s erasure.Stats) int { return s.Untold }))
}

func (a *app) watchFeed(f *feed.Feed) {
	a.meter().gauge("feed_age_seconds", "Age of the API's own view of the revocation set.", func() float64 { return f.Status().Age.Seconds() })
	a.probe("feed", true, func() query.Condition {
		s := f.Status()
		c := query.Condition{OK: s.Doubt == "", Position: f.Position()}
		if !c.OK {
			c.Detail = fmt.Sprintf("view of the revocation set is %s", s.Doubt)
		}
		return c
	})
}

// watchStreams shows who follows the feed over HTTP.
func (a *app) watchStreams(s *feedhttp.Server) {
	stat := func(of func(feedhttp.Stats) int64) func() float64 {
		return func() float64 { return float64(of(s.Stats())) }
	}
	a.meter().gauge("feed_streams", "Streams of the revocation feed that are open.", stat(func(s feedhttp.Stats) int64 { return s.Streams }))
	a.meter().count("feed_streams_cut_total", "Streams that were cut because they were too slow.", stat(func(s feedhttp.Stats) int64 { return s.Cut }))
	a.meter().count("feed_streams_reset_total", "Streams whose position was not to be had.", stat(func(s feedhttp.Stats) int64 { return s.Resets }))
}
