package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Anchor says whether the log stream of that name is still the one that it was
// when Anchor was first called, which it notes beside it: in a message that
// stays. A log that was lost and made anew is empty, and whoever took it for
// the beginning of everything would call revoked tokens active. The error wraps
// ErrLogReplaced.
func Anchor(ctx context.Context, js jetstream.JetStream, name string) error {
	s, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", name, err)
	}
	subject, now := lockPrefix+name, strconv.FormatInt(s.CachedInfo().Created.UnixNano(), 10)
	was, err := get{LastFor: subject}.from(ctx, js, LocksStream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		_, err = js.Publish(ctx, subject, []byte(now), jetstream.WithExpectStream(LocksStream), jetstream.WithExpectLastSequencePerSubject(0))
		if !wrongLast(err) {
			return err
		}
		was, err = get{LastFor: subject}.from(ctx, js, LocksStream) // somebody else was faster
	}
	switch {
	case err != nil:
		return fmt.Errorf("anchor of %s: %w", name, err)
	case string(was.Data) != now:
		return fmt.Errorf("stream %s is not the one that this deployment began with: restore that one; or, to go on without "+
			"what it held, and without the revocations in it, purge subject %s from %s: %w", name, subject, LocksStream, ErrLogReplaced)
	}
	return nil
}
