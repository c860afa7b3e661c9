package stream

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestPermanent: what the server says of the message is final, in its own words;
// what it says of itself, or of another attempt that is on its way, is not.
func TestPermanent(t *testing.T) {
	t.Parallel()
	for said, want := range map[server.ErrorIdentifier]bool{
		server.JSStreamMessageExceedsMaximumErr: true,
		server.JSStreamHeaderExceedsMaximumErr:  true,
		server.JSStreamNotMatchErr:              true,
		server.JSStreamDuplicateMessageConflict: false, // with replicas: the attempt before is not decided
		server.JSAccountResourcesExceededErr:    false, // until something is removed
		server.JSInsufficientResourcesErr:       false,
		server.JSStreamStoreFailedF:             false,
		server.JSStreamTooManyRequests:          false,
		server.JSClusterNotLeaderErr:            false,
	} {
		e := server.ApiErrors[said]
		err := fmt.Errorf("publish: %w", &jetstream.APIError{Code: e.Code, ErrorCode: jetstream.ErrorCode(e.ErrCode), Description: e.Description})
		if permanent(err) != want {
			t.Errorf("%d %d %s: permanent %t", e.Code, e.ErrCode, e.Description, !want)
		}
	}
	for err, want := range map[error]bool{nats.ErrMaxPayload: true, nats.ErrNoResponders: false, nats.ErrTimeout: false, nats.ErrDisconnected: false} {
		if permanent(err) != want {
			t.Errorf("%v: permanent %t", err, !want)
		}
	}
}
