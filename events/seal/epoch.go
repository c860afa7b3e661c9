package seal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Entries of the epochs. They hold no secret, and are not wrapped as others are.
//
//	x.<epoch>  epochEntry: the key of the epoch, wrapped under one of the root's
//	y.<epoch>  emptiedEntry: no entry is wrapped in the epoch any more
//	z.<epoch>  endedEntry: the root has destroyed its key
//
// The epoch with the highest number is the current one: entries are wrapped in
// it. An x entry stays for ever, because that of the next epoch is what keeps
// whoever slept from writing entries of the one before.
func epochName(n uint32) string   { return "x." + strconv.FormatUint(uint64(n), 10) }
func emptiedName(n uint32) string { return "y." + strconv.FormatUint(uint64(n), 10) }
func endedName(n uint32) string   { return "z." + strconv.FormatUint(uint64(n), 10) }

// ofEpochs reports whether an entry is one of the above.
func ofEpochs(name string) bool {
	return strings.HasPrefix(name, "x.") || strings.HasPrefix(name, "y.") || strings.HasPrefix(name, "z.")
}

type epochEntry struct {
	Key     Wrapped `cbor:"1,keyasint"`
	Created int64   `cbor:"2,keyasint"` // µs
	Ends    int64   `cbor:"3,keyasint"` // µs, as planned; 0: never
	Gone    int64   `cbor:"4,keyasint"` // µs, when the root's key is planned to be gone; 0: never
}

type emptiedEntry struct {
	At int64 `cbor:"1,keyasint"` // µs
}

type endedEntry struct {
	At   int64 `cbor:"1,keyasint"` // µs, when the root destroyed the key
	Gone int64 `cbor:"2,keyasint"` // µs, from when nobody can have it back
}

// Epoch is one of the times that a keyring is divided into. What was wrapped in
// one can be read for as long as the root has its key.
type Epoch struct {
	Number  uint32
	Created time.Time
	Ends    time.Time // as it was planned; zero where it never does
	Planned time.Time // when its key was planned to be gone; zero where it never is

	Retired   time.Time // when the next began; zero for the current one
	Emptied   time.Time // from when no entry is wrapped in it; zero as long as there may be one
	Destroyed time.Time // when the root destroyed its key; zero as long as it did not
	Gone      time.Time // from when nobody can have that key back
}

// wrapper is the key of epoch n. It depends on all that the entry says, so that
// nobody can put off the end of an epoch.
func (e *epochEntry) wrapper(n uint32, secret []byte) *wrapper {
	said := fmt.Sprintf("rescind epoch v1 %d %q %d %d %d", n, e.Key.Key, e.Created, e.Ends, e.Gone)
	k := key(secret)
	derived := key(k.derive(said, keySize))
	return &wrapper{epoch: n, key: newXAES(&derived), entry: mustMarshal(e)}
}

func mustMarshal(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err) // the entry types are constant
	}
	return b
}

// Epochs is every epoch, the oldest first.
func (k *Keyring) Epochs(ctx context.Context) ([]Epoch, error) {
	all, err := k.epochs.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list epochs: %w", err)
	}
	out := make([]Epoch, len(all))
	for i, e := range all {
		out[i] = e.Epoch
	}
	return out, nil
}

// ForgetEpochs drops the keys of epochs that the root has destroyed from memory.
// It is to be called from time to time: this process may have unwrapped them
// while they were there.
func (k *Keyring) ForgetEpochs(ctx context.Context) error {
	all, err := k.epochs.list(ctx)
	if err != nil {
		return fmt.Errorf("forget epochs: %w", err)
	}
	for _, e := range all {
		if !e.Destroyed.IsZero() {
			k.epochs.forget(e.Number)
		}
	}
	return nil
}

// Left is how many entries are wrapped in each epoch that is over, read from the
// keyring's own store.
func (k *Keyring) Left(ctx context.Context, store Revisions) (map[uint32]int, error) {
	numbers, err := k.epochs.numbers(ctx)
	if err != nil {
		return nil, fmt.Errorf("entries of epochs: %w", err)
	}
	f := found{left: map[uint32]int{}}
	if len(numbers) < 2 {
		return f.left, nil
	}
	current := numbers[len(numbers)-1]
	for from := uint64(0); ; {
		page, next, err := store.Before(ctx, epochName(current), from)
		if err != nil {
			return nil, fmt.Errorf("entries of epochs: %w", err)
		}
		f.look(current, page)
		if from = next; next == 0 {
			return f.left, nil
		}
	}
}

// Residue is from when a copy of the keyring that somebody made before now can
// be read by nobody, as planned: then the keys of all epochs until now are gone.
// It is not before the time at which that is so if re-wrapping takes no longer
// than Config.EpochKeep. The error wraps ErrPermanent where the root cannot
// destroy: then such a copy can be read for ever; and ErrOverdue where an epoch was
// planned to be gone by now and is not: then nobody can say until when.
func (k *Keyring) Residue(ctx context.Context) (time.Time, error) {
	delay, err := k.epochs.root.Delay()
	if err != nil {
		return time.Time{}, fmt.Errorf("residue: %w", err)
	}
	all, err := k.Epochs(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("residue: %w", err)
	}
	last := k.now()
	for _, e := range all {
		gone, err := e.unreadable(k.now(), k.epochs.keep+delay)
		if err != nil {
			return time.Time{}, fmt.Errorf("residue of epoch %d: %w", e.Number, err)
		}
		last = latest(last, gone)
	}
	return last, nil
}

// unreadable is from when nobody can have the key of an epoch back, as planned now: so
// long after the next has begun, which is not before now.
func (e *Epoch) unreadable(now time.Time, after time.Duration) (time.Time, error) {
	over := e.Retired
	if over.IsZero() && now.After(e.Ends) {
		over = now
	}
	switch {
	case !e.Gone.IsZero():
		return e.Gone, nil
	case e.Planned.IsZero():
		return time.Time{}, ErrPermanent
	case over.IsZero():
		return e.Planned, nil
	case e.Retired.IsZero() && !now.Before(e.Planned), !now.Before(over.Add(after)):
		return time.Time{}, ErrOverdue
	default:
		return latest(e.Planned, over.Add(after)), nil
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// listed is an epoch with what the root calls its key.
type listed struct {
	Epoch
	rootKey string
}

// list is every epoch, the oldest first.
func (e *epochs) list(ctx context.Context) ([]listed, error) {
	numbers, err := e.numbers(ctx)
	if err != nil || len(numbers) == 0 {
		return nil, err
	}
	var names []string
	for _, n := range numbers {
		names = append(names, epochName(n), emptiedName(n), endedName(n))
	}
	got, err := e.store.Get(ctx, names...)
	if err != nil {
		return nil, err
	}
	out := make([]listed, len(numbers))
	for i, n := range numbers {
		if out[i], err = describe(got, n); err != nil {
			return nil, err
		}
	}
	for i := len(out) - 1; i > 0; i-- { // by the first of those behind it: a clock that was ahead puts off none
		out[i-1].Retired = out[i].Created
		if next := out[i].Retired; !next.IsZero() && next.Before(out[i].Created) {
			out[i-1].Retired = next
		}
	}
	return out, nil
}

func describe(got map[string][]byte, n uint32) (listed, error) {
	var begun epochEntry
	var emptied emptiedEntry
	var ended endedEntry
	for name, v := range map[string]any{epochName(n): &begun, emptiedName(n): &emptied, endedName(n): &ended} {
		stored, there := got[name]
		if !there && v != &begun {
			continue
		}
		if err := cbor.Unmarshal(stored, v); err != nil {
			return listed{}, fmt.Errorf("decode epoch %d: %w", n, ErrSealed)
		}
	}
	return listed{rootKey: begun.Key.Key, Epoch: Epoch{
		Number: n, Created: micro(begun.Created), Ends: micro(begun.Ends), Planned: micro(begun.Gone),
		Emptied: micro(emptied.At), Destroyed: micro(ended.At), Gone: micro(ended.Gone),
	}}, nil
}

func micro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// numbers is the numbers of all epochs, in order.
func (e *epochs) numbers(ctx context.Context) ([]uint32, error) {
	names, err := e.store.List(ctx, "x.")
	if err != nil {
		return nil, err
	}
	out := make([]uint32, len(names))
	for i, name := range names {
		n, err := strconv.ParseUint(strings.TrimPrefix(name, "x."), 10, 32)
		if err != nil || epochName(uint32(n)) != name {
			return nil, errors.New("an entry of an epoch is named by no number")
		}
		out[i] = uint32(n)
	}
	slices.SortFunc(out, cmp.Compare)
	return out, nil
}
