package revoke

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// keysGroup makes one of several instances answer a request.
const keysGroup = "revoke"

// serveKeys answers requests for feed keys until the function that it returns
// is called. It answers while standing by, too. All that wait share one reading
// of the keys: where a tenant is new every verifier asks at once.
func (r *Revoker) serveKeys(ctx context.Context) (stop func(), err error) {
	end, err := stream.ServeTogether(ctx, r.cfg.Conn, stream.FeedKeysSubject, keysGroup, r.answer)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := end(); err != nil {
			r.cfg.Log.Warn("subscription to key requests not ended", "err", err)
		}
	}, nil
}

// answer gives no answer where there is none to be trusted: the verifier asks
// again.
func (r *Revoker) answer(ctx context.Context, requests []*nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	keys, err := r.cfg.Keys.Keys(ctx)
	if err != nil {
		r.cfg.Log.Warn("requests for feed keys not answered", "count", len(requests), "err", err)
		return
	}
	for _, m := range requests {
		if err := r.reply(m, keys); err != nil {
			r.cfg.Log.Warn("request for feed keys not answered", "err", err)
		}
	}
}

var errRequest = errors.New("it cannot be read")

func (r *Revoker) reply(m *nats.Msg, keys []events.FeedKey) error {
	var request revocation.KeysRequest
	if len(m.Data) > 0 && json.Unmarshal(m.Data, &request) != nil {
		return errRequest // the cause could repeat what is in it
	}
	page := request.PageKeys(keys)
	page.Time = r.clock.now().UnixMicro()
	body, signature, err := page.Sign(r.cfg.Key)
	if err != nil {
		return err
	}
	return m.RespondMsg(&nats.Msg{Data: body, Header: nats.Header{revocation.SignatureHeader: {base64.StdEncoding.EncodeToString(signature)}}})
}
