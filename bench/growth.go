package bench

import (
	"context"
	"fmt"
	"strings"
)

// Growth is one part of a long run into the same store.
type Growth struct {
	Events int     `json:"events"` // in the store after it
	Rate   float64 `json:"rate"`   // events/s of this part, until every row can be queried
	RSS    float64 `json:"rss"`    // MiB of the projector after it
}

// growthParts is how many parts a long run has, unless they would be less than
// a million events and can be it.
const (
	growthParts = 10
	million     = 1_000_000
)

// growth is whether the last quarter of a long run costs more than the first.
func (b *ingest) growth(ctx context.Context) error {
	part := max(1, b.cfg.Events/growthParts)
	if b.cfg.Events > million {
		part = million
	}
	gen := b.next(b.cfg.Events) // one, so that its people live on
	for done := 0; done < b.cfg.Events; {
		n := min(part, b.cfg.Events-done)
		rate, err := b.pipeline(ctx, gen, n)
		if err != nil {
			return err
		}
		rss, _, err := b.projector.rss()
		if err != nil {
			return err
		}
		done += n
		b.report.Growth = append(b.report.Growth, Growth{done, rate, rss})
		b.cfg.Progress(fmt.Sprintf("%d events: %.0f events/s, %.0f MiB", done, rate, rss))
	}
	first, last := quarters(b.report.Growth)
	b.add(compare("growth/rate", "events/s", last, fmt.Sprintf("the first %d events into the same store", len(first)*part), first))
	return nil
}

// quarters is the rates of the first and of the last quarter of the parts, at
// least of one: a single part says more of the machine than of the store.
func quarters(parts []Growth) (first, last []float64) {
	n := max(1, len(parts)/4)
	for i := range n {
		first = append(first, parts[i].Rate)
		last = append(last, parts[len(parts)-n+i].Rate)
	}
	return first, last
}

// Sparkline is the rates of a growth as a line of blocks, the greatest a full
// one.
func Sparkline(growth []Growth) string {
	blocks := []rune("▁▂▃▄▅▆▇█")
	most := 0.0
	for _, g := range growth {
		most = max(most, g.Rate)
	}
	var line strings.Builder
	for _, g := range growth {
		line.WriteRune(blocks[min(len(blocks)-1, int(g.Rate/most*float64(len(blocks))))])
	}
	return line.String()
}
