package revoke

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// keysGroup makes one of several instances answer a request.
const keysGroup = "revoke"

// serveKeys answers requests for feed keys until the function that it returns
// is called. It answers while standing by, too.
func (r *Revoker) serveKeys(ctx context.Context) (stop func(), err error) {
	requests := make(chan *nats.Msg, 256)
	sub, err := r.cfg.Conn.ChanQueueSubscribe(stream.FeedKeysSubject, keysGroup, requests)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case m := <-requests:
				r.answer(ctx, m)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		if err := sub.Unsubscribe(); err != nil {
			r.cfg.Log.Warn("subscription to key requests not ended", "err", err)
		}
		cancel()
		done.Wait()
	}, nil
}

// answer gives no answer where there is none to be trusted: the verifier asks
// again.
func (r *Revoker) answer(ctx context.Context, m *nats.Msg) {
	var request revocation.KeysRequest
	if len(m.Data) > 0 && json.Unmarshal(m.Data, &request) != nil {
		r.cfg.Log.Warn("request for feed keys cannot be read")
		return
	}
	reply, err := r.reply(ctx, request)
	if err == nil {
		err = m.RespondMsg(reply)
	}
	if err != nil {
		r.cfg.Log.Warn("request for feed keys not answered", "err", err)
	}
}

func (r *Revoker) reply(ctx context.Context, request revocation.KeysRequest) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	keys, err := r.cfg.Keys.Keys(ctx)
	if err != nil {
		return nil, err
	}
	page := request.PageKeys(keys)
	page.Time = r.cfg.Now().UnixMicro()
	body, signature, err := page.Sign(r.cfg.Key)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Data: body, Header: nats.Header{revocation.SignatureHeader: {base64.StdEncoding.EncodeToString(signature)}}}, nil
}
