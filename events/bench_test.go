package events_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
)

// The benchmarks work on what a busy issuer publishes, a batch at a time, and
// report what one event costs.
const perBatch = 500

var start = time.Unix(1_800_000_000, 0)

func workloadEvents() []events.Event {
	return workload.New(workload.Config{Start: start}).Batch(perBatch)
}

// perEvent is b.Loop over whole batches. Beside the time that passed it reports
// the processor time of the process, its garbage collector among it: on a
// machine with other work that is the one to compare.
func perEvent(b *testing.B, do func()) {
	b.Helper()
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		do()
	}
	n := float64(b.N) * perBatch
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/n, "cpu-ns/event")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func encoded(b *testing.B) (records [][]byte) {
	evs := workloadEvents()
	for i := range evs {
		record, err := benchRecord(&evs[i]).Marshal()
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

func benchRecord(ev *events.Event) *events.Record {
	r := events.NewRecord(ev, "dev", start)
	r.SubjectRef, r.TokenRef, r.SessionRef, r.PayloadHash, r.DataKey = events.Ref{1}, events.Ref{2}, events.Ref{3}, events.Hash{4}, 1
	return r
}

func BenchmarkDecodeBatchJSON(b *testing.B) {
	body, err := events.MarshalEvents(workloadEvents())
	if err != nil {
		b.Fatal(err)
	}
	benchDecode(b, events.Message{ContentType: events.ContentTypeBatch, Body: body, Tenant: "acme"})
}

func benchDecode(b *testing.B, m events.Message) {
	perEvent(b, func() {
		got, err := events.Decode(m)
		if err != nil || got[perBatch-1].Refusal != nil {
			b.Fatal(err, got[perBatch-1].Refusal)
		}
	})
}

func BenchmarkEncodeBatchJSON(b *testing.B) {
	evs := workloadEvents()
	perEvent(b, func() {
		if _, err := events.MarshalEvents(evs); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkDecodeBatchProto(b *testing.B) {
	body, err := events.MarshalProtobufBatch(workloadEvents())
	if err != nil {
		b.Fatal(err)
	}
	benchDecode(b, events.Message{ContentType: events.ContentTypeProtobufBatch, Body: body, Tenant: "acme"})
}

func BenchmarkEncodeBatchProto(b *testing.B) {
	evs := workloadEvents()
	perEvent(b, func() {
		if _, err := events.MarshalProtobufBatch(evs); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkAppendProto is one event after the other into the same room, as the
// publisher encodes.
func BenchmarkAppendProto(b *testing.B) {
	evs, room := workloadEvents(), make([]byte, 0, 4096)
	perEvent(b, func() {
		for i := range evs {
			if _, err := events.AppendProtobuf(room, &evs[i]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	evs := workloadEvents()
	policy := events.Policy{Environment: "dev", RequireEnvironment: true}
	perEvent(b, func() {
		for i := range evs {
			if r := policy.Validate(&evs[i], start.Add(time.Hour)); r != nil {
				b.Fatal(r)
			}
		}
	})
}

// BenchmarkValidateAddresses is an event that is made to be dear: addresses among
// its claims that nearly stand in its attributes.
func BenchmarkValidateAddresses(b *testing.B) {
	ev := workloadEvents()[0]
	list := make([]any, 64)
	for i := range list {
		list[i] = "a@" + strings.Repeat("aa@", 310+i%20) + "a"
	}
	ev.Data.Personal, ev.Data.Attributes = map[string]any{"list": list}, map[string]string{}
	for i := range 32 {
		ev.Data.Attributes[fmt.Sprint("n", i)] = "x" + strings.Repeat("aa@", 340) + "%"
	}
	policy := events.Policy{Environment: "dev", RequireEnvironment: true}
	for b.Loop() {
		if r := policy.Validate(&ev, start.Add(time.Hour)); r != nil {
			b.Fatal(r)
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	evs := workloadEvents()
	perEvent(b, func() {
		for i := range evs {
			if _, err := evs[i].Canonical(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNewRecord(b *testing.B) {
	evs := workloadEvents()
	perEvent(b, func() {
		for i := range evs {
			events.NewRecord(&evs[i], "dev", start)
		}
	})
}

func BenchmarkEventRef(b *testing.B) {
	evs := workloadEvents()
	perEvent(b, func() {
		for i := range evs {
			events.EventRef(evs[i].Tenant, evs[i].Source, evs[i].ID)
		}
	})
}

func BenchmarkRecordMarshal(b *testing.B) {
	evs := workloadEvents()
	records := make([]*events.Record, len(evs))
	for i := range evs {
		records[i] = benchRecord(&evs[i])
	}
	perEvent(b, func() {
		for _, r := range records {
			if _, err := r.Marshal(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUnmarshalRecord(b *testing.B) {
	records := encoded(b)
	perEvent(b, func() {
		for _, record := range records {
			if _, err := events.UnmarshalRecord(record); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheckRecord(b *testing.B) {
	records := encoded(b)
	perEvent(b, func() {
		for _, record := range records {
			if err := events.CheckRecord(record); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPersonalMarshal(b *testing.B) {
	evs := workloadEvents()
	perEvent(b, func() {
		for i := range evs {
			p, _ := evs[i].Data.PersonalPart()
			if _, err := p.Marshal(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchBatch(b *testing.B) *events.Batch {
	batch := &events.Batch{Header: events.Header{
		Version: events.BatchVersion, Epoch: 3, Lane: events.Access, First: 7, Count: perBatch, Size: 7 + perBatch,
		Covered: []events.Range{{First: 1, Last: 4}},
	}}
	for _, record := range encoded(b) {
		batch.Items = append(batch.Items, events.Item{Record: record, Sealed: make([]byte, 180), Digest: make([]byte, 8)})
	}
	return batch
}

func BenchmarkBatchMarshal(b *testing.B) {
	batch := benchBatch(b)
	perEvent(b, func() {
		if _, err := batch.Marshal(); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkUnmarshalBatch(b *testing.B) {
	data, err := benchBatch(b).Marshal()
	if err != nil {
		b.Fatal(err)
	}
	perEvent(b, func() {
		if _, err := events.UnmarshalBatch(data); err != nil {
			b.Fatal(err)
		}
	})
}
