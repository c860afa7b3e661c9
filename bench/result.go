package bench

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is the outcome of one benchmark.
type Report struct {
	Results []Result `json:"results"`
	Growth  []Growth `json:"growth,omitempty"`
	Machine Machine  `json:"machine"`
}

// Result is one figure, beside its floor where it has one.
type Result struct {
	Name      string  `json:"name"`
	Unit      string  `json:"unit"`
	Value     float64 `json:"value"` // median
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	P99       float64 `json:"p99,omitempty"`
	N         int     `json:"n"`
	FloorName string  `json:"floor_name,omitempty"`
	Floor     float64 `json:"floor,omitempty"` // median
	Ratio     float64 `json:"ratio,omitempty"` // Value / Floor
}

// Machine is what the figures were measured on.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
}

// compare makes a result of samples and of samples of the floor.
func compare(name, unit string, samples []float64, floorName string, floor []float64) Result {
	r := Result{
		Name: name, Unit: unit, Value: median(samples), Min: slices.Min(samples), Max: slices.Max(samples), N: len(samples),
		FloorName: floorName, Floor: median(floor),
	}
	if r.Floor != 0 {
		r.Ratio = r.Value / r.Floor
	}
	return r
}

// alone makes a result without a floor.
func alone(name, unit string, samples ...float64) Result {
	return Result{Name: name, Unit: unit, Value: median(samples), Min: slices.Min(samples), Max: slices.Max(samples), N: len(samples)}
}

// withP99 adds the 99th percentile of the samples.
func (r Result) withP99(samples []float64) Result {
	r.P99 = quantile(samples, 0.99)
	return r
}

// String is r for people.
func (r Result) String() string {
	s := fmt.Sprintf("%s: %.4g %s (%.4g to %.4g, n=%d)", r.Name, r.Value, r.Unit, r.Min, r.Max, r.N)
	if r.P99 != 0 {
		s += fmt.Sprintf(", p99 %.4g", r.P99)
	}
	if r.Floor != 0 {
		s += fmt.Sprintf(", %.2f of %.4g", r.Ratio, r.Floor)
	}
	return s
}

// median is the sample in the middle, or between the two there.
func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// quantile is the sample at q of the way from the least to the greatest.
func quantile(samples []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	if len(s) == 0 {
		return 0
	}
	return s[int(q*float64(len(s)-1)+0.5)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func machine() Machine {
	return Machine{CPU: cpuName(), Cores: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()}
}

// cpuName is what Linux calls the processor, or "".
func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
