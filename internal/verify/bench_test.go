package verify_test

import (
	"runtime"
	"testing"

	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/internal/workload"
)

// BenchmarkRun verifies a deployment of 100,000 records. The heap is what is in
// use beside the deployment at the end of the last look at it.
func BenchmarkRun(b *testing.B) {
	const records = 100_000
	bench := startFor(b, dev.Options{Dir: b.TempDir()})
	gen := workload.New(workload.Config{Seed: 7, Subjects: 10_000})
	for range records / 10_000 {
		bench.publish(gen.Batch(10_000))
	}
	bench.projected()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var total uint64
	for b.Loop() {
		r := bench.verify(verify.Config{Progress: func(string, uint64, uint64) {
			runtime.ReadMemStats(&after)
			total = max(total, after.HeapInuse)
		}})
		if !r.Clean || r.Log.Records < records {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(total)/(1<<20), "MiB-heap")
}
