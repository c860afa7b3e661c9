package forgotten

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// isolation is a log and a keyring that many people of many tenants share, who
// have issuers and names in common.
type isolation struct {
	kit   *lanetest.Kit
	store *stream.KeyStore
	round int
}

// written is what was published of somebody and came to the log.
type written struct {
	who    seal.Person
	index  uint64
	record []byte
	sealed []byte
}

// TestE17ForgettingTouchesNobodyElse: whoever is forgotten at whichever tenant, of
// everybody else every entry of the keyring, every record and every sealed part
// is the same byte for byte, opens to the same, and is proven by the root of before.
func TestE17ForgettingTouchesNobodyElse(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	js, err := jetstream.New(kit.Projector)
	if err != nil {
		t.Fatal(err)
	}
	store, err := stream.OpenKeyStore(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	all := &isolation{kit: kit, store: store}
	rapid.Check(t, func(t *rapid.T) {
		all.round++
		all.check(t)
	})
}

func (a *isolation) check(t *rapid.T) {
	people := rapid.SliceOfNDistinct(rapid.Custom(a.person), 2, 8, rapid.ID).Draw(t, "people")
	gone := people[:rapid.IntRange(1, len(people)-1).Draw(t, "forgotten")]
	from := a.publish(t, people)
	log, root := a.read(t, people, from), a.root(t)
	keys, plain := a.entries(t), map[uint64][]byte{}
	for _, w := range log {
		plain[w.index] = a.open(t, w)
	}
	for _, p := range gone {
		key, err := a.kit.Keyring.Lookup(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.kit.Keyring.Destroy(context.Background(), p.Tenant, key.Ref); err != nil {
			t.Fatal(err)
		}
	}
	wantSameBut(t, keys, a.entries(t), len(gone))
	again := a.read(t, people, from)
	for i, w := range again {
		if w.index != log[i].index || !bytes.Equal(w.record, log[i].record) || !bytes.Equal(w.sealed, log[i].sealed) {
			t.Fatalf("record %d is another", w.index)
		}
		opened := a.open(t, w)
		if erased := slices.Contains(gone, w.who); erased != (opened == nil) || !erased && !bytes.Equal(opened, plain[w.index]) {
			t.Fatalf("record %d of %s, forgotten: %t, opens to %q", w.index, w.who.Tenant, erased, opened)
		}
	}
	a.wantProven(t, root, again[rapid.IntRange(0, len(again)-1).Draw(t, "proven")])
}

// person is one of few, so that names meet: at a tenant of this round.
func (a *isolation) person(t *rapid.T) seal.Person {
	return seal.Person{
		Tenant:  fmt.Sprintf("round%d-%s", a.round, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "tenant")),
		Issuer:  rapid.SampledFrom([]string{"https://one.example", "https://two.example"}).Draw(t, "issuer"),
		Subject: rapid.SampledFrom([]string{"alice", "bob", "alice|bob"}).Draw(t, "subject"),
	}
}

// publish says something of everybody and returns where that begins on the log.
func (a *isolation) publish(t *rapid.T, people []seal.Person) (from uint64) {
	last, err := a.kit.Log.Last(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var evs []events.Event
	for i, p := range people {
		evs = append(evs, events.Event{
			ID: fmt.Sprintf("%d-%d", a.round, i), Type: events.ConsentGranted, Tenant: p.Tenant, Source: "test",
			Data: events.Data{Issuer: p.Issuer, Subject: p.Subject, Consent: &events.Consent{ID: fmt.Sprint("consent-", i), Purposes: []string{"proof"}}},
		})
	}
	if err := a.kit.Publisher.Publish(context.Background(), evs...); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); len(a.read(t, people, last.Seq+1)) < len(people); {
		if time.Since(began) > devtest.Patience {
			t.Fatal("not all of it came to the log")
		}
	}
	return last.Seq + 1
}

func (a *isolation) batches(t *rapid.T, from uint64) (out []*events.Batch) {
	last, err := a.kit.Log.Last(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for seq := from; seq <= last.Seq; seq++ {
		m, err := a.kit.Log.Get(context.Background(), seq)
		if err != nil {
			t.Fatal(err)
		}
		b, err := events.UnmarshalBatch(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// read is what the log holds of people from a message on.
func (a *isolation) read(t *rapid.T, people []seal.Person, from uint64) (out []written) {
	for _, b := range a.batches(t, from) {
		for i, it := range b.Items {
			r, err := events.UnmarshalRecord(it.Record)
			if err != nil {
				t.Fatal(err)
			}
			var round, who int
			if n, _ := fmt.Sscanf(r.ID, "%d-%d", &round, &who); n == 2 && round == a.round {
				out = append(out, written{who: people[who], index: b.Header.First + uint64(i), record: it.Record, sealed: it.Sealed})
			}
		}
	}
	return out
}

// open is what a record's sealed part opens to: nil where its key is destroyed.
func (a *isolation) open(t *rapid.T, w written) []byte {
	r, err := events.UnmarshalRecord(w.record)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := a.kit.Keyring.Open(context.Background(), seal.OpenRequest{
		Tenant: r.Tenant, Source: r.Source, ID: r.ID, Ref: r.SubjectRef, Generation: r.DataKey, Sealed: w.sealed, Hash: r.PayloadHash,
	})
	if errors.Is(err, seal.ErrDestroyed) {
		return nil
	}
	if err != nil || !bytes.Contains(plain, []byte(w.who.Subject)) {
		t.Fatalf("%q, %v", plain, err)
	}
	return plain
}

// entries is the whole keyring, as it is stored.
func (a *isolation) entries(t *rapid.T) map[string][]byte {
	names, err := a.store.List(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "i.") }) // nobody's, and made when a day begins
	all, err := a.store.Get(context.Background(), names...)
	if err != nil || len(all) != len(names) {
		t.Fatal(len(all), len(names), err)
	}
	return all
}

// wantSameBut wants nothing changed in the keyring but that the entries of so many
// people are gone, and what says so is there.
func wantSameBut(t *rapid.T, before, after map[string][]byte, people int) {
	kinds := map[string]int{}
	for name, v := range before {
		if is, there := after[name]; !there {
			kinds["-"+name[:2]]++
		} else if !bytes.Equal(is, v) {
			t.Fatalf("an entry %s is another", name[:2])
		}
	}
	for name := range after {
		if before[name] == nil {
			kinds["+"+name[:2]]++
		}
	}
	if want := map[string]int{"-k.": people, "-s.": people, "+d.": people, "+e.": people}; !maps.Equal(kinds, want) {
		t.Fatalf("%d people forgotten: %v", people, kinds)
	}
}

// root is that of the log as it ends.
func (a *isolation) root(t *rapid.T) events.Header {
	last, err := a.kit.Log.Last(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return a.batches(t, last.Seq)[0].Header
}

// wantProven proves a record, as it is now, by an earlier root.
func (a *isolation) wantProven(t *rapid.T, root events.Header, w written) {
	var leaves [][]byte
	for _, b := range a.batches(t, 1) {
		for _, it := range b.Items {
			leaves = append(leaves, rfc6962.DefaultHasher.HashLeaf(it.Record))
		}
	}
	path := inclusion(leaves[:root.Size], int(w.index))
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, w.index, root.Size, rfc6962.DefaultHasher.HashLeaf(w.record), path, root.Root[:]); err != nil {
		t.Fatalf("record %d of %d is not proven: %v", w.index, root.Size, err)
	}
}

// inclusion is the audit path of RFC 6962, section 2.1.1, by its definition.
func inclusion(leaves [][]byte, m int) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	if m < k {
		return append(inclusion(leaves[:k], m), head(leaves[k:]))
	}
	return append(inclusion(leaves[k:], m-k), head(leaves[:k]))
}

// head is the Merkle tree hash of RFC 6962, section 2.1.
func head(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	return rfc6962.DefaultHasher.HashChildren(head(leaves[:k]), head(leaves[k:]))
}
