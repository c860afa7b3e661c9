package main

import (
	"context"
	"fmt"
	"math"
)

// filled is a list of every peer with the same revocations in it.
type filled struct {
	ctx            context.Context
	peers          []peer
	lists          []denylist
	revoked, other []probe
	lines          []line // what was measured while they were filled
}

func fillAll(ctx context.Context, cfg revocationConfig, of *tokens, peers []peer) (_ *filled, err error) {
	f := &filled{ctx: ctx, peers: peers, revoked: of.probes(0, cfg.keys, probed), other: of.probes(cfg.keys, 2*cfg.keys, probed)}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	memory := newLine("memory", "B/revocation")
	for _, p := range peers {
		cfg.progress("%s: %d revocations", p.name, cfg.keys)
		before, err := f.fill(p, cfg.keys)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		after, err := f.lists[len(f.lists)-1].memory(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		memory.Sides[p.name] = one((after-before)/float64(cfg.keys), cfg.keys)
	}
	f.lines = append(f.lines, memory)
	return f, f.usage()
}

// fill adds a list, and returns what memory was before.
func (f *filled) fill(p peer, n int) (before float64, err error) {
	before = heap()
	d, err := p.open(f.ctx, n)
	if err != nil {
		return 0, err
	}
	f.lists = append(f.lists, d)
	if p.name == nameRedis {
		if before, err = d.memory(f.ctx); err != nil {
			return 0, err
		}
	}
	return before, fill(f.ctx, d, n, 1)
}

// usage is what Redis itself says of its keys.
func (f *filled) usage() error {
	l := newLine("memory, MEMORY USAGE of a key", "B/revocation")
	for i, d := range f.lists {
		r, ok := d.(*redisKeys)
		if !ok {
			continue
		}
		sample := f.revoked[:min(1000, len(f.revoked))]
		bytes, err := r.usage(f.ctx, sample)
		if err != nil {
			return err
		}
		l.Sides[f.peers[i].name] = one(bytes, len(sample))
	}
	f.lines = append(f.lines, l)
	return nil
}

func (f *filled) close() {
	for _, d := range f.lists {
		d.close()
	}
}

// asks is check or decide.
type asks func(denylist, context.Context, *probe) (bool, error)

// times is how long checks and decisions take, one after the other.
func (f *filled) times(rounds int) ([]line, error) {
	var out []line
	for _, q := range []struct {
		figure string
		ask    asks
		probes []probe
	}{
		{"check, revoked", denylist.check, f.revoked},
		{"check, not revoked", denylist.check, f.other},
		{"decision over eight scopes, revoked", denylist.decide, f.revoked},
		{"decision over eight scopes, not revoked", denylist.decide, f.other},
	} {
		runs, err := inTurns(rounds, f.turns(q.ask, q.probes, math.MaxInt))
		if err != nil {
			return nil, err
		}
		out = append(out, f.line(q.figure, runs))
	}
	singles, err := each(rounds, f.turns(denylist.check, f.other, singly))
	if err != nil {
		return nil, err
	}
	l := f.line("check, not revoked: one of a hundred takes longer", singles)
	for name, s := range l.Sides {
		l.Sides[name] = one(s.P99, s.N)
	}
	return append(out, l), nil
}

// singly is how many checks in a run are timed one by one.
const singly = 10

// turns ask the same probes of every list, at most so many in a run.
func (f *filled) turns(ask asks, probes []probe, most int) []turn {
	out := make([]turn, len(f.lists))
	for k, d := range f.lists {
		out[k] = turn{calls: min(f.peers[k].calls, most), call: func(i int) error {
			_, err := ask(d, f.ctx, &probes[i%len(probes)])
			return err
		}}
	}
	return out
}

func (f *filled) line(figure string, runs [][]float64) line {
	l := newLine(figure, "ns")
	for k, p := range f.peers {
		l.Sides[p.name] = spreadOf(runs[k])
	}
	return l
}
