package stream

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/seal"
)

// fewPuts is how many entries are written one after the other at most: four new
// people. For an atomic batch the server makes a store on disk, files that it
// syncs and takes away again. Two entries took 20 ms as a batch where they took 2.7
// one after the other, eight 17 and 7 (medians of 80, in turns, on a disk that
// others wrote to).
const fewPuts = 8

// createFew writes a few puts, each durable before the next is sent, and returns
// those that are left to be written as a batch: all of them where they are many, or
// where nothing but a batch keeps the contract.
//
// The server compares one subject for a message, and an entry needs two to be
// absent, its own and unless. So both are looked for in one answer, which says
// up to which sequence it was read, and each message is taken only right behind
// that sequence and those of ours: then nothing was written since. Where another
// was faster, what is left goes the other way.
func (k *KeyStore) createFew(ctx context.Context, unless string, puts []seal.Put) (left []seal.Put, err error) {
	if !k.direct || len(puts) > fewPuts || len(puts) == 1 && unless == "" {
		return puts, nil
	}
	last, err := k.absent(ctx, unless, puts)
	if last == 0 || err != nil {
		return puts, err
	}
	for i, p := range puts {
		last, err = k.put(ctx, p, jetstream.WithExpectLastSequence(last), jetstream.WithExpectLastSequencePerSubject(0))
		switch {
		case wrongLast(err):
			return puts[i:], nil
		case err != nil:
			return nil, err
		}
	}
	return nil, nil
}

// absent is the sequence up to which there is neither one of puts nor unless; 0
// where that cannot be known, as no batch has left its guard in the stream yet.
func (k *KeyStore) absent(ctx context.Context, unless string, puts []seal.Put) (upTo uint64, err error) {
	subjects := []string{KeyringGuard}
	for _, p := range puts {
		if err := checkKey(p.Key); err != nil {
			return 0, err
		}
		subjects = append(subjects, keyringPrefix+p.Key)
	}
	if unless != "" {
		subjects = append(subjects, keyringPrefix+unless)
	}
	answer, err := multiLast(ctx, k.js.Conn(), KeyringStream, subjects)
	if err != nil {
		return 0, err
	}
	delete(answer.data, KeyringGuard)
	_, retired := answer.data[keyringPrefix+unless]
	switch {
	case retired:
		return 0, seal.ErrRetired
	case len(answer.data) > 0:
		return 0, seal.ErrExists
	}
	return answer.upTo, nil
}
