package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/faults"
	"github.com/rescindhq/rescind/internal/sleep"
)

// maxHeaderBytes is what a message may have beside its body: ce- attributes in
// binary mode and the headers of JetStream.
const maxHeaderBytes = 64 << 10

// MinIntakeBytes is the least that Topology.IntakeMaxBytes may be.
const MinIntakeBytes = 8 << 20

// Topology is the sizes of the streams. The zero Topology is a valid one.
type Topology struct {
	// Shards is how many logs tenants are split over. Default 1, at most
	// events.MaxShards. It is fixed by the first Ensure: see ErrShards.
	Shards int
	// Replicas is the number of servers that keep each stream: 1, 3 or 5.
	// Default 1. Production wants 3, each in its own failure domain.
	Replicas int
	// IntakeMaxBytes bounds what waits in the intake, in bytes. Default 1 GiB,
	// at least 8 MiB. At the bound a publisher gets an error and nothing is
	// dropped.
	IntakeMaxBytes int64
	// LogMaxBytes bounds the log, in bytes. 0, the default, leaves it to the
	// disk. At the bound the intake stops: the log never drops its oldest.
	LogMaxBytes int64
	// QuarantineMaxAge is how long a refused event is kept for inspection and
	// replay. Default 90 days, at least an hour.
	QuarantineMaxAge time.Duration
	// RevocationsMaxAge is how long deltas are kept for verifiers to catch up
	// without a snapshot. Default 48 hours, at least 10 minutes.
	RevocationsMaxAge time.Duration
	// ControlAckWait is how long a control event may be in the hands of an
	// intake that does not answer before another gets it. Default 5 s, at least
	// 1 s: it is what a crash of the intake may delay a revocation by where
	// nobody takes over.
	ControlAckWait time.Duration
	// AccessAckWait is the same for access events. Default 30 s, at least 1 s.
	AccessAckWait time.Duration
}

func (t Topology) withDefaults() Topology {
	t.Shards = cmp.Or(t.Shards, 1)
	t.Replicas = cmp.Or(t.Replicas, 1)
	t.IntakeMaxBytes = cmp.Or(t.IntakeMaxBytes, 1<<30)
	t.QuarantineMaxAge = cmp.Or(t.QuarantineMaxAge, 90*24*time.Hour)
	t.RevocationsMaxAge = cmp.Or(t.RevocationsMaxAge, 48*time.Hour)
	t.ControlAckWait = cmp.Or(t.ControlAckWait, 5*time.Second)
	t.AccessAckWait = cmp.Or(t.AccessAckWait, 30*time.Second)
	if t.LogMaxBytes == 0 {
		t.LogMaxBytes = -1
	}
	return t
}

// Validate reports all faults of t.
func (t Topology) Validate() error {
	t = t.withDefaults()
	var f faults.List
	f.Check(t.Shards >= 1 && t.Shards <= events.MaxShards, "shards %d: want 1 to %d", t.Shards, events.MaxShards)
	f.Check(t.Replicas == 1 || t.Replicas == 3 || t.Replicas == 5, "replicas %d: want 1, 3 or 5", t.Replicas)
	f.Check(t.IntakeMaxBytes >= MinIntakeBytes, "intake max bytes %d: want at least 8 MiB", t.IntakeMaxBytes)
	f.Check(t.LogMaxBytes == -1 || t.LogMaxBytes >= 8<<20, "log max bytes %d: want 0 (no bound) or at least 8 MiB", t.LogMaxBytes)
	f.Check(t.QuarantineMaxAge >= time.Hour, "quarantine max age %s: want at least 1h", t.QuarantineMaxAge)
	f.Check(t.RevocationsMaxAge >= 10*time.Minute, "revocations max age %s: want at least 10m", t.RevocationsMaxAge)
	f.Check(t.ControlAckWait >= time.Second, "control ack wait %s: want at least 1s", t.ControlAckWait)
	f.Check(t.AccessAckWait >= time.Second, "access ack wait %s: want at least 1s", t.AccessAckWait)
	return f.Err()
}

// Ensure creates the streams, consumers and the bucket that are missing and
// brings the others to t. It may be called again and by two at once. Where the
// streams are there for another number of shards it changes nothing and returns
// an error that wraps ErrShards. A consumer of the intake that was missing is
// delivered all that is in the stream, and so is one whose filters change: a
// reader ends then, and opens the intake anew.
func Ensure(ctx context.Context, js jetstream.JetStream, t Topology) error {
	if err := t.Validate(); err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	t = t.withDefaults()
	if err := t.ensureFirstLog(ctx, js); err != nil {
		return fmt.Errorf("ensure stream %s: %w", LogStream, err)
	}
	for _, cfg := range t.streams() {
		if err := settle(ctx, func() error { _, err := js.CreateOrUpdateStream(ctx, cfg); return err }); err != nil {
			return fmt.Errorf("ensure stream %s: %w", cfg.Name, err)
		}
	}
	bucket := jetstream.ObjectStoreConfig{Bucket: SnapshotBucket, Replicas: t.Replicas, Storage: jetstream.FileStorage}
	if err := settle(ctx, func() error { _, err := js.CreateOrUpdateObjectStore(ctx, bucket); return err }); err != nil {
		return fmt.Errorf("ensure object store %s: %w", SnapshotBucket, err)
	}
	for _, cfg := range t.consumers() {
		if err := settle(ctx, func() error { return ensureConsumer(ctx, js, cfg) }); err != nil {
			return fmt.Errorf("ensure consumer %s of %s: %w", cfg.Durable, IntakeStream, err)
		}
	}
	return nil
}

// ensureConsumer brings a consumer of the intake to cfg. One whose filters
// change is made anew, as it would never deliver what is behind it and was not
// its own before, while the other consumer leaves that to it.
func ensureConsumer(ctx context.Context, js jetstream.JetStream, cfg jetstream.ConsumerConfig) error {
	is, err := js.Consumer(ctx, IntakeStream, cfg.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
	case err != nil:
		return err
	case !sameSubjects(is.CachedInfo().Config.FilterSubjects, cfg.FilterSubjects):
		if err := js.DeleteConsumer(ctx, IntakeStream, cfg.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	_, err = js.CreateOrUpdateConsumer(ctx, IntakeStream, cfg)
	return err
}

func sameSubjects(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// settle tries again where somebody else who creates the same at the same time
// makes the server fail, or connects for the first time.
func settle(ctx context.Context, create func() error) error {
	const attempts = 5
	for failures := 0; ; failures++ {
		err := create()
		if !settles(err) || failures == attempts {
			return err
		}
		if sleep.Backoff(ctx, failures) != nil {
			return err
		}
	}
}

// settles reports whether the server answers 500, as it does to the slower of
// two, or has no responders: it lets others into an account that it loads before
// JetStream is there.
func settles(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrNoResponders) || errors.As(err, &api) && api.Code == http.StatusInternalServerError
}

// streams is every stream, the one that publishers reach last.
func (t Topology) streams() []jetstream.StreamConfig {
	all := []jetstream.StreamConfig{t.quarantine(), t.revocations(), t.keyring(), t.locks(), t.verifiers(), t.held(), t.exports()}
	for k := range t.Shards {
		all = append(all, t.log(uint16(k)))
	}
	return append(all, t.intake())
}

func (t Topology) log(shard uint16) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: LogStreamOf(shard), Subjects: []string{logPrefixOf(shard) + "*"}, Metadata: t.shardsMetadata(), Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxBytes: t.LogMaxBytes,
		DenyDelete: true, DenyPurge: true, AllowDirect: true,
	}
}

func (t Topology) quarantine() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: QuarantineStream, Subjects: []string{QuarantineSubjects, ReplayedSubjects}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxAge: t.QuarantineMaxAge, MaxMsgsPerSubject: 1,
		AllowDirect: true,
	}
}

func (t Topology) revocations() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: RevocationsStream, Subjects: []string{RevocationsSubject}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, MaxAge: t.RevocationsMaxAge, AllowDirect: true,
		RePublish: &jetstream.RePublish{Source: RevocationsSubject, Destination: LiveRevocations},
	}
}

// keyring holds one message an entry. It announces fences to those who cache
// keys. Deleting is allowed, and done by overwriting.
func (t Topology) keyring() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: KeyringStream, Subjects: []string{KeyringSubjects, KeyringGuard}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
		AllowDirect: true, AllowAtomicPublish: true,
		RePublish: &jetstream.RePublish{Source: ErasureSubjects, Destination: LiveErasures + ".>", HeadersOnly: true},
	}
}

// held keeps what legal holds keep, one message a part, for as long as the hold
// lasts. At a full disk a hold is not kept and the erasure waits.
func (t Topology) held() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: HeldStream, Subjects: []string{HeldSubjects}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
	}
}

// exports keeps what was made of requests for access and portability, until it
// was there for long enough to be fetched. At a full disk none is made.
func (t Topology) exports() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: ExportsStream, Subjects: []string{ExportSubjects}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, MaxAge: ExportsKept + exportsSlack,
	}
}

func (t Topology) locks() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: LocksStream, Subjects: []string{LockSubjects}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, MaxMsgsPerSubject: 1, AllowMsgTTL: true,
	}
}

// VerifiersKept is how long a verifier that is not heard of is kept: then
// nobody waits for what it did not say.
const VerifiersKept = 7 * 24 * time.Hour

// MaxReceiptBytes bounds what a verifier says of itself.
const MaxReceiptBytes = 4 << 10

// verifiers holds the last message of each. Whoever has a verifier's credentials
// may write here under any id, so it is bounded in bytes as well: the oldest
// go first.
func (t Topology) verifiers() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: VerifiersStream, Subjects: []string{VerifierSubjects}, Storage: jetstream.FileStorage, Replicas: t.Replicas,
		Retention: jetstream.LimitsPolicy, MaxMsgsPerSubject: 1, MaxAge: VerifiersKept, MaxMsgSize: MaxReceiptBytes, MaxBytes: 64 << 20,
		AllowDirect: true,
	}
}
