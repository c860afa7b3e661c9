package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/revocation"
)

// BenchmarkDecide decides as of the end of a log of 1,000,000 revocations: all
// of it is read.
func BenchmarkDecide(b *testing.B) {
	k := lanetest.Start(b)
	p := &past{Kit: k}
	p.open(k.Keyring)
	p.Publish(p.event("first", events.TokenRevoked, "acme", events.Data{Issuer: issuer, TokenID: "j", Reason: "r"}))
	p.settle()
	k.StopIntake()
	p.fill(1_000_000)
	if err := p.follower.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, _, err := p.history.Decide(b.Context(), revocation.Claims{Tenant: "acme", Issuer: issuer, TokenID: "j", Subject: "u", SessionID: "s"}, history.Moment{Time: time.Now()})
		if err != nil || d.State != revocation.Revoked {
			b.Fatal(d, err)
		}
	}
}

// fill appends n revocations of other tokens, in batches as the intake writes
// them under load.
func (p *past) fill(n int) {
	p.T.Helper()
	log, err := stream.OpenLog(p.T.Context(), natsdtest.JetStream(p.T, p.NATS, natsd.Projector))
	if err != nil {
		p.T.Fatal(err)
	}
	last, err := log.Last(p.T.Context())
	if err != nil {
		p.T.Fatal(err)
	}
	b, err := events.UnmarshalBatch(last.Data)
	if err != nil {
		p.T.Fatal(err)
	}
	key, seq, first := p.keys(p.Keyring, "acme")[0], last.Seq, b.Header.Last()+1
	for at := 0; at < n; at += events.MaxBatchRecords {
		batch := events.Batch{Header: events.Header{Version: events.BatchVersion, Epoch: b.Header.Epoch + 1, Lane: events.Control, First: first, Count: events.MaxBatchRecords,
			Written: time.Now().UnixMicro(), Size: first + events.MaxBatchRecords}}
		for i := range events.MaxBatchRecords {
			id := fmt.Sprint("n", at+i)
			r := &events.Record{Version: events.RecordVersion, Source: "https://id.example", ID: id, Tenant: "acme", Environment: lanetest.Environment, Type: events.TokenRevoked,
				Time: time.Now().UnixMicro(), Received: time.Now().UnixMicro(), Issuer: issuer, Actor: "ops", Reason: "logout", TokenRef: key.Hash(events.ScopeGrant, issuer, id),
				Revocation: &events.Revocation{Scope: events.ScopeToken, Hash: key.Hash(events.ScopeToken, issuer, id), Expires: events.TimestampOf(time.Now().Add(time.Hour)), FeedKey: key.Generation}}
			data, err := r.Marshal()
			if err != nil {
				p.T.Fatal(err)
			}
			batch.Items = append(batch.Items, events.Item{Record: data})
		}
		data, err := batch.Marshal()
		if err != nil {
			p.T.Fatal(err)
		}
		if seq, err = log.Append(p.T.Context(), events.Control, data, seq); err != nil {
			p.T.Fatal(err)
		}
		first += events.MaxBatchRecords
	}
}
