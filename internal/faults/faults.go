package faults

import (
	"errors"
	"fmt"
	"time"
)

// List is faults as they are found.
type List struct{ all []error }

// Check adds a fault unless it is ok.
func (l *List) Check(ok bool, format string, args ...any) {
	if !ok {
		l.all = append(l.all, fmt.Errorf(format, args...))
	}
}

// Between adds a fault unless d is least, most or between them.
func (l *List) Between(name string, d, least, most time.Duration) {
	l.Check(least <= d && d <= most, "%s %s: want %s to %s", name, d, least, most)
}

// Add adds err, unless it is nil.
func (l *List) Add(err error) { l.all = append(l.all, err) }

// Err is all of them, or nil.
func (l *List) Err() error { return errors.Join(l.all...) }

// Of is Err with the name of what is configured in front.
func (l *List) Of(what string) error {
	if err := l.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
