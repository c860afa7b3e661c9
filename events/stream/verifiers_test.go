package stream_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// More verifiers than one answer holds, each with the last that it said.
func TestKeptVerifiersAreTheLastOfEach(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	saying := natsdtest.JetStream(t, s, natsd.Verifier)
	const verifiers = 600
	for n := range 2 * verifiers {
		if err := saying.Conn().Publish(stream.VerifierSubject(fmt.Sprintf("v-%d", n%verifiers)), fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := saying.Conn().Request(stream.VerifierSubject("v-0"), fmt.Append(nil, verifiers), time.Minute); err != nil {
		t.Fatal(err)
	}
	kept, err := stream.KeptVerifiers(t.Context(), natsdtest.Connect(t, s, natsd.API))
	if err != nil || len(kept) != verifiers {
		t.Fatalf("%d, %v", len(kept), err)
	}
	seen := map[string]bool{}
	for _, k := range kept {
		var n int
		if _, err := fmt.Sscan(string(k.Data), &n); err != nil || n < verifiers || k.ID != fmt.Sprintf("v-%d", n-verifiers) || k.Time.IsZero() || seen[k.ID] {
			t.Errorf("%s says %q", k.ID, k.Data)
		}
		seen[k.ID] = true
	}
}

// One that sends while it is read is there once.
func TestKeptVerifiersAreThereOnce(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	saying, reading := natsdtest.Connect(t, s, natsd.Verifier), natsdtest.Connect(t, s, natsd.API)
	for n := range 3 {
		if _, err := saying.Request(stream.VerifierSubject(fmt.Sprintf("v-%d", n)), nil, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	var saidOn sync.WaitGroup
	defer saidOn.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	saidOn.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			_, _ = saying.RequestWithContext(ctx, stream.VerifierSubject(fmt.Sprintf("v-%d", n%3)), nil) // ends with ctx
		}
	})
	for range 200 {
		kept, err := stream.KeptVerifiers(ctx, reading)
		if err != nil || len(kept) != 3 {
			t.Fatalf("%v, %v", kept, err)
		}
	}
}

// Whoever has a verifier's credentials cannot fill the disk.
func TestKeptVerifiersAreBounded(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	m, err := natsdtest.Connect(t, s, natsd.Verifier).Request(stream.VerifierSubject("v-1"), make([]byte, stream.MaxReceiptBytes+1), time.Minute)
	if err != nil || !strings.Contains(string(m.Data), "exceeds maximum") {
		t.Errorf("%s, %v", m.Data, err)
	}
	info, err := natsdtest.JetStream(t, s, natsd.Operator).Stream(t.Context(), stream.VerifiersStream)
	if err != nil {
		t.Fatal(err)
	}
	if cfg := info.CachedInfo().Config; cfg.MaxMsgsPerSubject != 1 || cfg.MaxAge != stream.VerifiersKept || cfg.MaxBytes <= 0 {
		t.Errorf("%+v", cfg)
	}
}
