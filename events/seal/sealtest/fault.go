package sealtest

import (
	"context"
	"errors"

	"github.com/rescindhq/rescind/events/seal"
)

// ErrFault is what a Fault answers in place of the store.
var ErrFault = errors.New("fault made on purpose")

// Verdict is what a Fault does with one call.
type Verdict int

// The verdicts.
const (
	Pass           Verdict = iota // the call goes through
	Fail                          // the call does not reach the store, and fails
	ApplyThenFail                 // the call takes effect, and fails
	PartlyThenFail                // of a Create the first half takes effect; it fails
)

// Fault is a store whose calls fail when Judge says so; a seal.Revisions as well
// where Store is one. Judge is called for
// each call with the method's name and its first key or prefix, from the
// caller's goroutine.
type Fault struct {
	seal.Store
	Judge func(method, key string) Verdict
}

// Get implements seal.Store.
func (f *Fault) Get(ctx context.Context, keys ...string) (map[string][]byte, error) {
	first := ""
	if len(keys) > 0 {
		first = keys[0]
	}
	if f.Judge("get", first) != Pass {
		return nil, ErrFault
	}
	return f.Store.Get(ctx, keys...)
}

// Create implements seal.Store.
func (f *Fault) Create(ctx context.Context, unless string, puts ...seal.Put) error {
	first := ""
	if len(puts) > 0 {
		first = puts[0].Key
	}
	v := f.Judge("create", first)
	if v == PartlyThenFail {
		puts = puts[:len(puts)/2]
	}
	return f.judged(v, func() error { return f.Store.Create(ctx, unless, puts...) })
}

// Erase implements seal.Store.
func (f *Fault) Erase(ctx context.Context, key string) error {
	return f.judged(f.Judge("erase", key), func() error { return f.Store.Erase(ctx, key) })
}

// List implements seal.Store.
func (f *Fault) List(ctx context.Context, prefix string) ([]string, error) {
	if f.Judge("list", prefix) != Pass {
		return nil, ErrFault
	}
	return f.Store.List(ctx, prefix)
}

// Before implements seal.Revisions.
func (f *Fault) Before(ctx context.Context, key string, from uint64) ([]seal.Stored, uint64, error) {
	if f.Judge("before", key) != Pass {
		return nil, 0, ErrFault
	}
	return f.Store.(seal.Revisions).Before(ctx, key, from)
}

// Replace implements seal.Revisions.
func (f *Fault) Replace(ctx context.Context, unless string, entries ...seal.Stored) error {
	first := ""
	if len(entries) > 0 {
		first = entries[0].Key
	}
	v := f.Judge("replace", first)
	if v == PartlyThenFail { // there is no part of it
		v = Fail
	}
	return f.judged(v, func() error { return f.Store.(seal.Revisions).Replace(ctx, unless, entries...) })
}

func (f *Fault) judged(v Verdict, call func() error) error {
	switch v {
	case Pass:
		return call()
	case Fail:
		return ErrFault
	default:
		return errors.Join(ErrFault, ignoreExists(call()))
	}
}

// ignoreExists: a call whose answer is lost says nothing of what was there.
func ignoreExists(err error) error {
	if errors.Is(err, seal.ErrExists) || errors.Is(err, seal.ErrRetired) || errors.Is(err, seal.ErrChanged) {
		return nil
	}
	return err
}
