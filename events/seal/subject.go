package seal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Person is one data subject of one tenant.
type Person struct{ Tenant, Issuer, Subject string }

// SubjectKey is a person's reference and the data key behind it.
type SubjectKey struct {
	Ref        events.Ref // zero where Erased, and for a tenant's own key
	Generation uint32     // which of the person's data keys this is, from 1
	Erased     bool       // the person was forgotten: there is no reference and no key

	key   dataKey
	ready *siv // of key; nil where it has to be made
}

// The first byte of what is sealed: AES-SIV of the packed part in each. What a
// version means never changes.
const (
	sealedBefore    = 2 // bound to the event, packed without members; only opened
	sealedForEvent  = 3 // bound to tenant, source and id
	sealedForPerson = 4 // bound to tenant and reference
)

// maxSealed is how long the sealed form of n bytes can be.
func maxSealed(n int) int { return 1 + tagSize + n + (n+literalTokens-1)/literalTokens }

// Seal is plain sealed for the event (tenant, source, id). Only the same three
// open it. The error wraps ErrDestroyed where s is Erased.
func (s *SubjectKey) Seal(tenant, source, id string, plain []byte) ([]byte, error) {
	return s.SealTo(make([]byte, 0, maxSealed(len(plain))), tenant, source, id, plain)
}

// SealTo is Seal, appended to dst. Where dst has room for 17 bytes more than
// plain, and one in 128, it allocates nothing, but for the text of an address of
// IPv6.
func (s *SubjectKey) SealTo(dst []byte, tenant, source, id string, plain []byte) ([]byte, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	return s.cipher().sealPacked(append(dst, sealedForEvent), plain, tenant, source, id), nil
}

// SealPersonalTo is SealTo for the personal part of an event whose record will
// name the SHA-256 of what is returned. A person's own key seals it for the
// person, so that parts of one person that say the same are the same bytes; the
// tenant's key, which seals for many, for the event.
func (s *SubjectKey) SealPersonalTo(dst []byte, tenant, source, id string, plain []byte) ([]byte, error) {
	if s.Ref.IsZero() {
		return s.SealTo(dst, tenant, source, id, plain)
	}
	if err := s.usable(); err != nil {
		return nil, err
	}
	return s.cipher().sealPacked(append(dst, sealedForPerson), plain, tenant, string(s.Ref[:])), nil
}

func (s *SubjectKey) usable() error {
	if s.Erased {
		return fmt.Errorf("seal: %w", ErrDestroyed)
	}
	if s.Generation == 0 {
		return errors.New("seal: no key")
	}
	return nil
}

// open is the plain bytes of r. What is sealed for a person says nothing of the
// event, so there it is the record's hash that binds the two.
func (s *SubjectKey) open(r *OpenRequest) ([]byte, error) {
	if len(r.Sealed) == 0 {
		return nil, ErrSealed
	}
	bound := []string{r.Tenant, r.Source, r.ID}
	switch r.Sealed[0] {
	case sealedBefore, sealedForEvent:
	case sealedForPerson:
		if sha256.Sum256(r.Sealed) != r.Hash {
			return nil, ErrSealed
		}
		bound = []string{r.Tenant, string(s.Ref[:])}
	default:
		return nil, ErrSealed
	}
	packed, err := s.cipher().open(r.Sealed[1:], bound...)
	if err != nil {
		return nil, err
	}
	return unpack(packed)
}

func (s *SubjectKey) cipher() *siv {
	if s.ready != nil {
		return s.ready
	}
	return newSIV(&s.key)
}

// String and GoString keep the key out of logs.
func (s SubjectKey) String() string {
	return fmt.Sprintf("{%s generation %d erased %t}", s.Ref, s.Generation, s.Erased)
}

// GoString is String.
func (s SubjectKey) GoString() string { return s.String() }

// Subjects is the key of each of people, in their order. It makes what is
// missing, durably, in one call of the store; a person who was erased gets
// Erased and never a new key.
func (k *Keyring) Subjects(ctx context.Context, people []Person) ([]SubjectKey, error) {
	seats, err := k.seats(ctx, people)
	if err != nil {
		return nil, fmt.Errorf("keys of %d subjects: %w", len(people), err)
	}
	mark := k.subjects.mark()
	out, rest := k.fromCache(seats)
	found, err := k.subjectsAt(ctx, rest)
	if err != nil {
		return nil, fmt.Errorf("keys of %d subjects: %w", len(people), err)
	}
	for at, p := range found {
		k.subjects.put(at.handle, p, mark)
		if p.erased {
			k.ciphers.remove(at.handle)
		}
	}
	for _, i := range rest.places {
		if p, ok := found[seats[i]]; ok {
			out[i] = p.subjectKey()
		}
	}
	k.makeReady(seats, out, mark)
	return out, nil
}

func (k *Keyring) seats(ctx context.Context, people []Person) ([]seat, error) {
	out := make([]seat, len(people))
	var t *Tenant // of the person before: most batches are of one
	for i, p := range people {
		if p.Subject == "" {
			return nil, errors.New("a person without a subject")
		}
		if t == nil || t.name != p.Tenant {
			var err error
			if t, err = k.Tenant(ctx, p.Tenant); err != nil {
				return nil, err
			}
		}
		out[i] = t.seat(p.Issuer, p.Subject)
	}
	return out, nil
}

// known is what is known of a person. It holds no pointer: the garbage
// collector does not look into a map of them.
type known struct {
	ref        events.Ref
	key        dataKey
	generation uint32
	erased     bool
	read       int64 // when the key was read from the store, by the clock of the cache
}

func (p *known) subjectKey() SubjectKey {
	return SubjectKey{Ref: p.ref, Generation: p.generation, Erased: p.erased, key: p.key}
}

// questions is who has to be asked about in the store.
type questions struct {
	seats     []seat         // each once
	places    []int          // where they were asked for, each time
	confirmed map[seat]known // of these, who was known: only the fence has to be looked for
}

// fullRead is how long a key is confirmed by the lack of a fence alone. After
// that the key is read again: nobody takes a key away without a fence, but an
// operator may have put another keyring in the place of this one.
const fullRead = int64(time.Hour)

// fromCache is the keys of those that the cache knows, and who is left.
func (k *Keyring) fromCache(seats []seat) (out []SubjectKey, rest questions) {
	out = make([]SubjectKey, len(seats))
	answered := make([]bool, len(seats))
	rest.confirmed = map[seat]known{}
	now, held := k.subjects.clock(), k.held()
	k.subjects.getAll(handles(seats), func(i int, p known, fresh bool) {
		if fresh && held {
			out[i], answered[i] = p.subjectKey(), true
		} else if now-p.read < fullRead && !p.erased { // a fence may have gone: see Renew
			rest.confirmed[seats[i]] = p
		}
	})
	asked := map[seat]bool{}
	for i, at := range seats {
		if answered[i] {
			continue
		}
		rest.places = append(rest.places, i)
		if !asked[at] {
			asked[at] = true
			rest.seats = append(rest.seats, at)
		}
	}
	return out, rest
}

// rivals is how often Subjects reads again because others made the same keys
// at the same time. Each time at least one of them got through.
const rivals = 16

func (k *Keyring) subjectsAt(ctx context.Context, q questions) (map[seat]known, error) {
	found := make(map[seat]known, len(q.seats))
	for range rivals {
		vacant, err := k.find(ctx, q, found)
		if err != nil {
			return nil, err
		}
		made, err := k.provision(ctx, propose(vacant), found)
		if err != nil {
			return nil, err
		}
		if made {
			return found, nil
		}
	}
	return nil, errors.New("others kept making the same keys")
}

// proposal is a person's reference and key before they are in the store.
type proposal struct {
	at  seat
	ref events.Ref
	key dataKey
}

func propose(vacant []seat) []proposal {
	out := make([]proposal, len(vacant))
	for i, at := range vacant {
		out[i] = proposal{at: at, key: newDataKey()}
		rand.Read(out[i].ref[:])
	}
	return out
}

const firstGeneration = 1

// provision puts the proposals into the store and into found. It reports
// false where somebody else was faster with one of them: then nothing it did
// is in found, and the store has to be read again.
func (k *Keyring) provision(ctx context.Context, ps []proposal, found map[seat]known) (bool, error) {
	if len(ps) == 0 {
		return true, nil
	}
	err := k.create(ctx, k.entries(ps)...)
	if errors.Is(err, ErrExists) {
		return false, k.withdrawLosers(ctx, ps)
	}
	if err != nil {
		return false, fmt.Errorf("create keys: %w", err)
	}
	return true, k.settle(ctx, ps, found)
}

// entries is what has to be created, each person's seat before the key: the store
// writes in that order, and a key without a seat could seal what its reference
// does not open.
func (k *Keyring) entries(ps []proposal) []entry {
	out := make([]entry, 0, 2*len(ps))
	now := k.now().UnixMicro()
	for i := range ps {
		p := &ps[i]
		out = append(out,
			entry{seatName(p.at.tenant, p.ref), seatEntry{Handle: p.at.handle, Fingerprint: p.key.fingerprint()}},
			entry{keyName(p.at), keyEntry{Ref: p.ref, Key: p.key, Generation: firstGeneration, Created: now}})
	}
	return out
}

// withdrawLosers removes the seats of proposals whose key the store did not
// take: nothing points at them.
func (k *Keyring) withdrawLosers(ctx context.Context, ps []proposal) error {
	names := make([]string, 0, 2*len(ps))
	for _, p := range ps {
		names = append(names, keyName(p.at), seatName(p.at.tenant, p.ref))
	}
	got, err := k.load(ctx, names)
	if err != nil {
		return err
	}
	var losers []string
	for _, p := range ps {
		var e keyEntry
		err := k.decode(got, keyName(p.at), &e)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if name := seatName(p.at.tenant, p.ref); got[name] != nil && (err != nil || e.Ref != p.ref) {
			losers = append(losers, name)
		}
	}
	return each(ctx, losers, func(ctx context.Context, _ int, name string) error { return k.erase(ctx, name) })
}

// settle looks for fences that were put while the proposals went in. A fence
// precedes everything else that Destroy does, so whoever makes a key and then
// sees no fence has made it before the person was forgotten.
// All fences are read in a call that begins after the store has taken the
// proposals, so that it sees every fence set until then; one set later belongs
// to a person forgotten later.
func (k *Keyring) settle(ctx context.Context, ps []proposal, found map[seat]known) error {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = fenceName(p.at)
	}
	read := k.subjects.clock()
	got, err := k.load(ctx, names)
	if err != nil {
		return err
	}
	var late []proposal
	for _, p := range ps {
		erased, err := k.fencedIn(got, p.at)
		switch {
		case err != nil:
			return err
		case erased:
			late = append(late, p)
			found[p.at] = known{erased: true}
		default:
			found[p.at] = known{ref: p.ref, generation: firstGeneration, key: p.key, read: read}
		}
	}
	return each(ctx, late, func(ctx context.Context, _ int, p proposal) error {
		return k.erase(ctx, keyName(p.at), seatName(p.at.tenant, p.ref))
	})
}

// erase erases entries in the order given, and stops at the first that cannot
// be.
func (k *Keyring) erase(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := k.store.Erase(ctx, name); err != nil {
			return fmt.Errorf("erase %s entry: %w", kind(name), err)
		}
	}
	return nil
}

// TenantKey is the key that seals the personal part of events that name no
// subject. Its Ref is zero.
func (k *Keyring) TenantKey(ctx context.Context, tenant string) (SubjectKey, error) {
	t, err := k.Tenant(ctx, tenant)
	if err != nil {
		return SubjectKey{}, err
	}
	return t.data, nil
}
