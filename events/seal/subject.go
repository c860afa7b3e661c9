package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/events"
)

// Person is one data subject of one tenant.
type Person struct{ Tenant, Issuer, Subject string }

// SubjectKey is a person's reference and the data key behind it.
type SubjectKey struct {
	Ref        events.Ref // zero where Erased, and for a tenant's own key
	Generation uint32     // which of the person's data keys this is, from 1
	Erased     bool       // the person was forgotten: there is no reference and no key

	key key
}

const sealVersion = 1

// Seal is plain sealed for the event (tenant, source, id) with AES-256-GCM
// under a key of its own (XAES-256-GCM: version byte, 24-byte nonce,
// ciphertext, tag). Only the same three open it. The error wraps ErrDestroyed
// where s is Erased.
func (s *SubjectKey) Seal(tenant, source, id string, plain []byte) ([]byte, error) {
	if s.Erased {
		return nil, fmt.Errorf("seal: %w", ErrDestroyed)
	}
	if s.Generation == 0 {
		return nil, errors.New("seal: no key")
	}
	dst := append(make([]byte, 0, 1+nonceSize+len(plain)+tagSize), sealVersion)
	return s.key.encrypt(dst, plain, lengthPrefixed("", tenant, source, id)), nil
}

func (s *SubjectKey) open(tenant, source, id string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	return s.key.decrypt(sealed[1:], lengthPrefixed("", tenant, source, id))
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
	found, err := k.subjectsAt(ctx, seats)
	if err != nil {
		return nil, fmt.Errorf("keys of %d subjects: %w", len(people), err)
	}
	out := make([]SubjectKey, len(seats))
	for i, at := range seats {
		out[i] = found[at]
	}
	return out, nil
}

func (k *Keyring) seats(ctx context.Context, people []Person) ([]seat, error) {
	out := make([]seat, len(people))
	for i, p := range people {
		if p.Subject == "" {
			return nil, errors.New("a person without a subject")
		}
		t, err := k.Tenant(ctx, p.Tenant)
		if err != nil {
			return nil, err
		}
		out[i] = t.seat(p.Issuer, p.Subject)
	}
	return out, nil
}

// rivals is how often Subjects reads again because others made the same keys
// at the same time. Each time at least one of them got through.
const rivals = 16

func (k *Keyring) subjectsAt(ctx context.Context, seats []seat) (map[seat]SubjectKey, error) {
	found := make(map[seat]SubjectKey, len(seats))
	unknown := k.fromCache(seats, found)
	mark := k.subjects.mark()
	for range rivals {
		vacant, err := k.find(ctx, unknown, found)
		if err != nil {
			return nil, err
		}
		made, err := k.provision(ctx, propose(vacant), found)
		if err != nil {
			return nil, err
		}
		if made {
			for _, at := range unknown {
				k.subjects.put(at, found[at], mark)
			}
			return found, nil
		}
	}
	return nil, errors.New("others kept making the same keys")
}

func (k *Keyring) fromCache(seats []seat, found map[seat]SubjectKey) (unknown []seat) {
	asked := make(map[seat]bool, len(seats))
	for _, at := range seats {
		if asked[at] {
			continue
		}
		asked[at] = true
		if s, ok := k.subjects.get(at); ok {
			found[at] = s
		} else {
			unknown = append(unknown, at)
		}
	}
	return unknown
}

// proposal is a person's key before it is in the store.
type proposal struct {
	at     seat
	key    SubjectKey
	repair bool // the reference was there, without its key
}

func propose(vacant []holder) []proposal {
	out := make([]proposal, len(vacant))
	for i, v := range vacant {
		p := proposal{at: v.at, repair: !v.ref.IsZero(), key: SubjectKey{Ref: v.ref, Generation: 1, key: newKey()}}
		if !p.repair {
			rand.Read(p.key.Ref[:])
		}
		out[i] = p
	}
	return out
}

// provision puts the proposals into the store and into found. It reports
// false where somebody else was faster with one of them: then nothing it did
// is in found, and the store has to be read again.
func (k *Keyring) provision(ctx context.Context, ps []proposal, found map[seat]SubjectKey) (bool, error) {
	if len(ps) == 0 {
		return true, nil
	}
	err := k.store.Create(ctx, k.puts(ps)...)
	if errors.Is(err, ErrExists) {
		return false, k.withdrawLosers(ctx, ps)
	}
	if err != nil {
		return false, fmt.Errorf("create keys: %w", err)
	}
	return true, k.settle(ctx, ps, found)
}

func (k *Keyring) puts(ps []proposal) []Put {
	out := make([]Put, 0, 2*len(ps))
	for _, p := range ps {
		out = append(out, k.put(keyName(p.at.tenant, p.key.Ref), keyEntry{
			Key: p.key.key, Generation: p.key.Generation, Handle: p.at.handle, Created: k.now().UnixMicro(),
		}))
		if !p.repair {
			out = append(out, k.put(subjectName(p.at), subjectEntry{Ref: p.key.Ref}))
		}
	}
	return out
}

// withdrawLosers removes the data keys of proposals that the store did not
// take: nothing points at them.
func (k *Keyring) withdrawLosers(ctx context.Context, ps []proposal) error {
	return each(ctx, ps, func(ctx context.Context, _ int, p proposal) error {
		var subject subjectEntry
		err := k.read(ctx, subjectName(p.at), &subject)
		switch {
		case err == nil && subject.Ref == p.key.Ref:
			return nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
		return k.erase(ctx, keyName(p.at.tenant, p.key.Ref))
	})
}

// settle looks for fences that were put while the proposals went in. A fence
// precedes everything else that Destroy does, so whoever makes a key and then
// sees no fence has made it before the person was forgotten.
// All fences are read in a call that begins after the store has taken the
// proposals, so that it sees every fence set until then; one set later belongs
// to a person forgotten later.
func (k *Keyring) settle(ctx context.Context, ps []proposal, found map[seat]SubjectKey) error {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = fenceName(p.at)
	}
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
			found[p.at] = SubjectKey{Erased: true}
		default:
			found[p.at] = p.key
		}
	}
	return each(ctx, late, func(ctx context.Context, _ int, p proposal) error {
		return k.erase(ctx, subjectName(p.at), keyName(p.at.tenant, p.key.Ref))
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
	return t.dataKey(), nil
}

func (t *Tenant) dataKey() SubjectKey { return SubjectKey{Generation: 1, key: t.data} }
