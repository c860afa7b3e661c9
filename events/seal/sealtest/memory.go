package sealtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rescindhq/rescind/events/seal"
)

// Memory is a seal.Store and a seal.Revisions in memory. The zero Memory is
// empty and ready.
type Memory struct {
	// AllOrNone makes Create write either all of its entries or none. Otherwise
	// it writes up to the first that is taken, like a store that sends them one
	// by one.
	AllOrNone bool

	mu       sync.Mutex
	entries  map[string]seal.Stored
	revision uint64 // of the last write
}

// Get implements seal.Store.
func (m *Memory) Get(ctx context.Context, keys ...string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make(map[string][]byte, len(keys))
	for _, key := range keys {
		if e, ok := m.entries[key]; ok {
			out[key] = bytes.Clone(e.Value)
		}
	}
	return out, nil
}

// Create implements seal.Store.
func (m *Memory) Create(ctx context.Context, unless string, puts ...seal.Put) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse(ctx, unless); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	free := slices.IndexFunc(puts, func(p seal.Put) bool { _, taken := m.entries[p.Key]; return taken })
	if free < 0 {
		free = len(puts)
	} else if err = fmt.Errorf("create: %w", seal.ErrExists); m.AllOrNone {
		return err
	}
	for _, p := range puts[:free] {
		m.write(p.Key, p.Value)
	}
	return err
}

// refuse says why nothing is written.
func (m *Memory) refuse(ctx context.Context, unless string) error {
	if _, there := m.entries[unless]; there {
		return seal.ErrRetired
	}
	return ctx.Err()
}

func (m *Memory) write(key string, value []byte) {
	if m.entries == nil {
		m.entries = map[string]seal.Stored{}
	}
	m.revision++
	m.entries[key] = seal.Stored{Key: key, Value: bytes.Clone(value), Revision: m.revision}
}

// Erase implements seal.Store.
func (m *Memory) Erase(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(m.entries, key)
	return nil
}

// List implements seal.Store.
func (m *Memory) List(ctx context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var keys []string
	for k := range m.entries {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// page is how many entries Before returns: few, so that tests see several.
const page = 4

// Before implements seal.Revisions.
func (m *Memory) Before(ctx context.Context, key string, from uint64) (out []seal.Stored, next uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	end, there := m.entries[key]
	if !there {
		return nil, 0, fmt.Errorf("before: %w", seal.ErrNotFound)
	}
	for _, e := range m.entries {
		if from <= e.Revision && e.Revision < end.Revision {
			e.Value = bytes.Clone(e.Value)
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b seal.Stored) int { return cmp.Compare(a.Revision, b.Revision) })
	if len(out) > page {
		return out[:page], out[page].Revision, nil
	}
	return out, 0, nil
}

// Replace implements seal.Revisions.
func (m *Memory) Replace(ctx context.Context, unless string, entries ...seal.Stored) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse(ctx, unless); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	for _, e := range entries {
		if is, there := m.entries[e.Key]; !there || is.Revision != e.Revision {
			return fmt.Errorf("replace: %w", seal.ErrChanged)
		}
	}
	for _, e := range entries {
		m.write(e.Key, e.Value)
	}
	return nil
}

// Tamper replaces the value under key, as somebody with access to the store
// could.
func (m *Memory) Tamper(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write(key, value)
}

// Dump is everything that the store holds, as somebody who stole it would have
// it.
func (m *Memory) Dump() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string][]byte, len(m.entries))
	for k, e := range m.entries {
		out[k] = bytes.Clone(e.Value)
	}
	return out
}

// Restore is a store that holds what Dump returned.
func Restore(dump map[string][]byte) *Memory {
	m := new(Memory)
	for k, v := range dump {
		m.write(k, v)
	}
	return m
}
