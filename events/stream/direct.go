package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxMulti is how many subjects one request names. The server refuses above
// 1024 messages.
const maxMulti = 1000

// onlyCopy reports whether whoever answers a direct get has everything that
// was acknowledged: where there are replicas, one that lags may answer. So may
// a mirror with MirrorDirect, which nothing here makes.
func onlyCopy(cfg jetstream.StreamConfig) bool {
	return cfg.AllowDirect && cfg.Replicas == 1
}

// multiLast is the last message of each of up to maxMulti subjects, by
// subject, in one request. A subject without a message is not in the map; an
// answer of which anything is missing is an error.
func multiLast(ctx context.Context, nc *nats.Conn, stream string, subjects []string) (map[string][]byte, error) {
	body, err := json.Marshal(struct {
		MultiLast []string `json:"multi_last"`
	}{subjects})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is closed
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return nil, err
	}
	return collectMulti(func() (*nats.Msg, error) { return sub.NextMsgWithContext(ctx) })
}

func collectMulti(next func() (*nats.Msg, error)) (map[string][]byte, error) {
	a := multiAnswer{data: map[string][]byte{}}
	for {
		m, err := next()
		if err != nil {
			return nil, err
		}
		if done, err := a.take(m); done || err != nil {
			return a.data, err
		}
	}
}

// multiAnswer is the messages of one answer so far. They are a chain: each
// says the sequence of the one before it and how many follow, and the one at
// the end, which holds nothing, names the last. Without that, one that got
// lost on the way would be taken for one that is not in the stream.
type multiAnswer struct {
	data    map[string][]byte
	last    uint64 // sequence
	pending uint64 // how many follow
}

var errBrokenAnswer = errors.New("the answer to a direct get is not whole")

// take adds m, and reports whether the answer is complete.
func (a *multiAnswer) take(m *nats.Msg) (bool, error) {
	switch status, why := m.Header.Get("Status"), m.Header.Get("Description"); {
	case status == "":
		return false, a.add(m)
	case status == "204":
		before, err := number(m, jetstream.LastSequenceHeader)
		if err != nil || before != a.last || a.pending != 0 || len(a.data) == 0 {
			return false, errBrokenAnswer
		}
		return true, nil
	case status == "404" && why == "No Results" && len(a.data) == 0: // any other 404 is a message that could not be read
		return true, nil
	default:
		return false, fmt.Errorf("direct get: %s %s", status, why)
	}
}

func (a *multiAnswer) add(m *nats.Msg) error {
	seq, err1 := number(m, jetstream.SequenceHeader)
	before, err2 := number(m, jetstream.LastSequenceHeader)
	pending, err3 := number(m, numPendingHeader)
	if err := errors.Join(err1, err2, err3); err != nil || before != a.last {
		return errBrokenAnswer
	}
	a.data[m.Header.Get(jetstream.SubjectHeader)] = m.Data
	a.last, a.pending = seq, pending
	return nil
}

const numPendingHeader = "Nats-Num-Pending"

func number(m *nats.Msg, header string) (uint64, error) {
	return strconv.ParseUint(m.Header.Get(header), 10, 64)
}
