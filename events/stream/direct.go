package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

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
// subject, in one request. A subject without a message is not among them; an
// answer of which anything is missing is an error.
func multiLast(ctx context.Context, nc *nats.Conn, stream string, subjects []string) (answer multiAnswer, err error) {
	question := struct {
		MultiLast []string `json:"multi_last"`
	}{subjects}
	err = askDirect(ctx, nc, stream, question, len(subjects), func(next func() (*nats.Msg, error)) (err error) {
		answer, err = collectMulti(next)
		return err
	})
	return answer, err
}

// askDirect sends a question that has an answer of several messages: most at
// most, and one that ends it. There is room for just these, as the client would
// take half a megabyte for each question.
func askDirect(ctx context.Context, nc *nats.Conn, stream string, question any, most int, collect func(next func() (*nats.Msg, error)) error) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	inbox, answer := nc.NewInbox(), make(chan *nats.Msg, most+1)
	sub, err := nc.ChanSubscribe(inbox, answer)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is closed
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return err
	}
	return collect(func() (*nats.Msg, error) {
		select {
		case m := <-answer:
			return m, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

// What one request for the next messages may be answered with.
const (
	pageMessages = 500
	pageBytes    = 8 << 20
)

// nextOf is the next messages of a subject from a sequence on, most at most,
// none where there is none. An answer of which anything is missing is an error.
func nextOf(ctx context.Context, nc *nats.Conn, stream, subject string, from uint64, most int) (page []stored, err error) {
	question := struct {
		Seq      uint64 `json:"seq"`
		NextFor  string `json:"next_by_subj"`
		Batch    int    `json:"batch"`
		MaxBytes int    `json:"max_bytes"`
	}{from, subject, min(most, pageMessages), pageBytes}
	err = askDirect(ctx, nc, stream, question, question.Batch, func(next func() (*nats.Msg, error)) error {
		for {
			m, err := next()
			if err != nil {
				return err
			}
			var done bool
			if page, done, err = addNext(page, m); done || err != nil {
				return err
			}
		}
	})
	return page, err
}

// addNext adds one message of an answer to page, and reports whether it is the
// end. Each says the sequence of the one before it, and so does the end.
func addNext(page []stored, m *nats.Msg) (_ []stored, done bool, err error) {
	status := m.Header.Get("Status")
	if status == "404" && len(page) == 0 {
		return nil, true, nil
	}
	if status != "" && status != "204" {
		return nil, false, fmt.Errorf("direct get: %s %s", status, m.Header.Get("Description"))
	}
	if n := len(page); n > 0 || status != "" {
		before, err := number(m, jetstream.LastSequenceHeader)
		if err != nil || n == 0 || before != page[n-1].Seq {
			return nil, false, errBrokenAnswer
		}
	}
	if status == "204" {
		return page, true, nil
	}
	seq, err1 := number(m, jetstream.SequenceHeader)
	at, err2 := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if errors.Join(err1, err2) != nil {
		return nil, false, errBrokenAnswer
	}
	return append(page, stored{Subject: m.Header.Get(jetstream.SubjectHeader), Seq: seq, Data: m.Data, Time: at}), false, nil
}

func collectMulti(next func() (*nats.Msg, error)) (multiAnswer, error) {
	a := multiAnswer{data: map[string][]byte{}}
	for {
		m, err := next()
		if err != nil {
			return multiAnswer{}, err
		}
		if done, err := a.take(m); done || err != nil {
			return a, err
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
	upTo    uint64 // the last sequence of the stream when it was read; 0 where nothing was found
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
		a.upTo, err = number(m, upToSequenceHeader)
		return true, err
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

const (
	numPendingHeader   = "Nats-Num-Pending"
	upToSequenceHeader = "Nats-UpTo-Sequence"
)

func number(m *nats.Msg, header string) (uint64, error) {
	return strconv.ParseUint(m.Header.Get(header), 10, 64)
}
