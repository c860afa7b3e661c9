package bench

import (
	"math"
	"testing"
)

func TestQuantiles(t *testing.T) {
	t.Parallel()
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median of three: %g", got)
	}
	if got := median([]float64{1, 2}); got != 1.5 {
		t.Errorf("median of two: %g", got)
	}
	hundred := make([]float64, 101)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	if got := quantile(hundred, 0.99); got != 99 {
		t.Errorf("p99: %g", got)
	}
}

func TestSlope(t *testing.T) {
	t.Parallel()
	var s []sample
	for i := range 10 {
		s = append(s, sample{minutes: float64(i) / 4, mib: 100 + 3*float64(i)/4})
	}
	if got := slope(s); math.Abs(got-3) > 1e-9 {
		t.Errorf("slope %g, want 3", got)
	}
	if got := slope(s[:1]); got != 0 {
		t.Errorf("slope of one sample: %g", got)
	}
}

func TestSparkline(t *testing.T) {
	t.Parallel()
	if got := Sparkline([]Growth{{Rate: 100}, {Rate: 50}, {Rate: 1}}); got != "█▅▁" {
		t.Errorf("%s", got)
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	t.Parallel()
	p := &process{}
	p.note([]byte("gc 12 @1.203s 3%: 0.1+2.0+0.05 ms clock, 0.2+1/2/0+0.1 ms cpu, 61->64->33 MB, 66 MB goal, 0 MB stacks, 0 MB globals, 2 P"))
	p.note([]byte("gc 13 @1.403s 3%: 0.1+2.0+0.05 ms clock, 0.2+1/2/0+0.1 ms cpu, 40->44->33 MB, 66 MB goal, 0 MB stacks, 0 MB globals, 2 P"))
	if got := p.peakHeap(); got != 61 {
		t.Errorf("peak heap %g", got)
	}
	if got := kib([]byte("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n"), "VmHWM:"); got != 2 {
		t.Errorf("%g MiB", got)
	}
}
