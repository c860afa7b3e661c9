package sealtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rescindhq/rescind/events/seal"
)

// Memory is a seal.Store in memory. The zero Memory is empty and ready.
type Memory struct {
	// AllOrNone makes Create write either all of its entries or none. Otherwise
	// it writes up to the first that is taken, like a store that sends them one
	// by one.
	AllOrNone bool

	mu      sync.Mutex
	entries map[string][]byte
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
		if v, ok := m.entries[key]; ok {
			out[key] = bytes.Clone(v)
		}
	}
	return out, nil
}

// Create implements seal.Store.
func (m *Memory) Create(ctx context.Context, puts ...seal.Put) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.entries == nil {
		m.entries = map[string][]byte{}
	}
	free := slices.IndexFunc(puts, func(p seal.Put) bool { _, taken := m.entries[p.Key]; return taken })
	if free < 0 {
		free = len(puts)
	} else if err = fmt.Errorf("create: %w", seal.ErrExists); m.AllOrNone {
		return err
	}
	for _, p := range puts[:free] {
		m.entries[p.Key] = bytes.Clone(p.Value)
	}
	return err
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

// Tamper replaces the value under key, as somebody with access to the store
// could.
func (m *Memory) Tamper(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[key] = bytes.Clone(value)
}

// Dump is everything that the store holds, as somebody who stole it would have
// it.
func (m *Memory) Dump() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string][]byte, len(m.entries))
	for k, v := range m.entries {
		out[k] = bytes.Clone(v)
	}
	return out
}
