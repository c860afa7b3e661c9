package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// subject is something that can be measured, of a benchmark B.
type subject[B any] struct {
	name     string
	stack    bool // wants a running stack
	measures func(B, context.Context) error
}

func namesOf[B any](subjects []subject[B]) (out []string) {
	for _, s := range subjects {
		out = append(out, s.name)
	}
	return out
}

// bench is what every benchmark of subjects has.
type bench struct {
	*rig     // nil where what is measured wants no stack
	dir      string
	progress func(string)
	report   *Report
}

func newBench(dir string, progress func(string)) bench {
	return bench{dir: dir, progress: progress, report: &Report{Machine: machine()}}
}

// add puts a result into the report and tells people.
func (b *bench) add(r Result) {
	b.report.Results = append(b.report.Results, r)
	b.progress(r.String())
}

// measure has of measure what was asked for: what wants a stack, then the rest.
func measure[B any](ctx context.Context, b *bench, of B, subjects []subject[B], asked []string) error {
	for _, stack := range []bool{true, false} {
		todo := slices.DeleteFunc(slices.Clone(subjects), func(s subject[B]) bool {
			return s.stack != stack || !slices.Contains(asked, s.name)
		})
		if err := measureAll(ctx, b, of, todo, stack); err != nil {
			return err
		}
	}
	return nil
}

func measureAll[B any](ctx context.Context, b *bench, of B, todo []subject[B], stack bool) (err error) {
	if stack && len(todo) > 0 {
		if b.rig, err = newRig(ctx, rigConfig{dir: filepath.Join(b.dir, "stack"), progress: b.progress}); err != nil {
			return err
		}
		defer b.rig.close()
	}
	for _, s := range todo {
		b.progress(s.name)
		if err := s.measures(of, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
