package stream

import (
	"context"
	"errors"

	"github.com/rescindhq/rescind/events"
)

// LastOf is the last message of one lane, or one with Seq 0 where it has none.
// It sees every Append that has returned.
func (l *Log) LastOf(ctx context.Context, lane events.Lane) (LogMessage, error) {
	m, err := l.get(ctx, get{LastFor: LogSubject(lane)})
	if errors.Is(err, ErrNotFound) {
		return LogMessage{}, nil
	}
	return m, err
}
