package stream

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestSettles: what the server says while somebody else creates the same, or
// while it loads the account, is asked again; anything else is said.
func TestSettles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		asks int
	}{
		"loading":  {nats.ErrNoResponders, 3},
		"creating": {&jetstream.APIError{Code: 500}, 3},
		"refused":  {&jetstream.APIError{Code: 400}, 1},
		"gone":     {nats.ErrConnectionClosed, 1},
	} {
		asks := 0
		err := settle(t.Context(), func() error {
			if asks++; asks == 3 {
				return nil
			}
			return c.err
		})
		if asks != c.asks || (c.asks == 1) != errors.Is(err, c.err) {
			t.Errorf("%s: asked %d times: %v", name, asks, err)
		}
	}
}
