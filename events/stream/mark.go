package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
)

// Marks are numbers that outlive processes, one for each shard: how far in it
// somebody has come. They stand beside the locks, without a time to live.
type Marks struct {
	js   jetstream.JetStream
	name string
}

// NewMarks are the marks of that name: of a-z A-Z 0-9 _ -.
func NewMarks(js jetstream.JetStream, name string) *Marks { return &Marks{js, name} }

func (m *Marks) subject(shard uint16) (string, error) {
	if !events.ValidTenant(m.name) {
		return "", errors.New("mark: want a name of a-z A-Z 0-9 _ -")
	}
	return lockPrefix + "mark-" + m.name + "-" + strconv.Itoa(int(shard)), nil
}

// Get is the mark that was set last, 0 where none was.
func (m *Marks) Get(ctx context.Context, shard uint16) (uint64, error) {
	subject, err := m.subject(shard)
	if err != nil {
		return 0, err
	}
	last, err := get{LastFor: subject}.from(ctx, m.js, LocksStream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("get mark %s shard=%d: %w", m.name, shard, err)
	}
	at, err := strconv.ParseUint(string(last.Data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("get mark %s shard=%d: it is no number", m.name, shard)
	}
	return at, nil
}

// Set is durable on return. Of two that set a mark the later one stands.
func (m *Marks) Set(ctx context.Context, shard uint16, at uint64) error {
	subject, err := m.subject(shard)
	if err != nil {
		return err
	}
	if _, err := m.js.Publish(ctx, subject, strconv.AppendUint(nil, at, 10), jetstream.WithExpectStream(LocksStream)); err != nil {
		return fmt.Errorf("set mark %s shard=%d: %w", m.name, shard, err)
	}
	return nil
}
