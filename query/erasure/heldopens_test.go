package erasure_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/receipt"
)

// life is events of somebody, in two sessions, two clients, over six hours.
func life(r *rand.Rand, n int) []events.Event {
	out := make([]events.Event, n)
	for i := range out {
		out[i] = events.Event{
			Type: []events.Type{events.TokenIssued, events.TokenVerified}[r.IntN(2)], Time: noon.Add(time.Duration(r.IntN(6)) * time.Hour),
			Data: events.Data{SessionID: []string{"s-1", "s-2"}[r.IntN(2)], ClientID: []string{"app", "web"}[r.IntN(2)]},
		}
	}
	return out
}

// anyHold names something, of anybody or of one of two.
func anyHold(r *rand.Rand, people ...string) (in erasure.HoldInput) {
	for in.Subject+in.Session+in.Client == "" && in.From.IsZero() && len(in.Types) == 0 {
		if r.IntN(2) == 0 {
			in.Subject = people[r.IntN(len(people))]
		}
		if r.IntN(3) == 0 {
			in.Session = "s-1"
		}
		if r.IntN(3) == 0 {
			in.Client = "app"
		}
		if r.IntN(3) == 0 {
			in.From = noon.Add(time.Duration(r.IntN(4)) * time.Hour)
			in.To = in.From.Add(2 * time.Hour)
		}
		if r.IntN(3) == 0 {
			in.Types = []string{"token.issued"}
		}
	}
	return in
}

// kept is what each hold keeps, by the index of the record.
type kept map[string]map[uint64]bool

func (k kept) any(index uint64) bool {
	for _, of := range k {
		if of[index] {
			return true
		}
	}
	return false
}

// TestE11HeldOpensTheRestDoesNot: whatever holds there are, of before and of what
// others keep, what one keeps opens until the last that keeps it is released,
// nothing else does, and then the request is completed by itself.
func TestE11HeldOpensTheRestDoesNot(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.kit.Run(h.Run)
	for seed := range uint64(3) {
		h.heldOpens(seed)
	}
}

func (h *house) heldOpens(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	name := func(who string) string { return fmt.Sprint(who, "-", seed) }
	people := []string{name("alice"), name("bob")}
	refs, requests := map[string]events.Ref{}, map[string]string{}
	for _, who := range append(people, name("carol")) {
		refs[who] = h.meet(who, life(r, 8)...)
	}
	var holds []hold.Hold
	for range 1 + r.IntN(3) {
		holds = append(holds, h.place(anyHold(r, people...)))
	}
	for _, who := range people {
		requests[who] = h.approve(who)
	}
	for _, who := range people { // the last records of theirs are those of the erasure
		h.eventually("carried out", func() error {
			got, err := h.Get(requests[who], all)
			if err == nil && got.State != erasure.Partial && got.State != erasure.Completed {
				err = errors.New(string(got.State))
			}
			return err
		})
	}
	parts, keeps := map[string][]erasure.Part{}, kept{}
	for _, who := range people {
		parts[who] = h.sealed(refs[who])
	}
	others := h.sealed(refs[name("carol")])
	keep := func(x hold.Hold, there func(index uint64) bool) {
		of := map[uint64]bool{}
		for _, p := range slices.Concat(parts[people[0]], parts[people[1]]) {
			of[p.Index] = x.Keeps(p.Record) && there(p.Index)
		}
		keeps[x.ID] = of
	}
	settled := func() {
		h.t.Helper()
		held := func(p *erasure.Part) bool { return keeps.any(p.Index) }
		for _, who := range people {
			want := erasure.Completed
			if slices.ContainsFunc(parts[who], func(p erasure.Part) bool { return held(&p) }) {
				want = erasure.Partial
			}
			h.until(requests[who], want)
			h.eventually(fmt.Sprint("seed ", seed, " ", who), func() error { return h.wantOnly(parts[who], held) })
			h.eventually(fmt.Sprint("receipt, seed ", seed, " ", who), func() error { return h.wantReceipt(requests[who], parts[who], keeps) })
		}
		if err := h.wantOnly(others, every); err != nil {
			h.t.Errorf("who asked for nothing: %v", err)
		}
	}
	for _, x := range holds {
		keep(x, func(uint64) bool { return true })
	}
	settled()
	later := h.place(erasure.HoldInput{Client: "app"}) // who was forgotten cannot be named any more
	keep(later, keeps.any)
	holds = append(holds, later)
	for len(holds) > 0 {
		i := r.IntN(len(holds))
		h.release(holds[i].ID)
		delete(keeps, holds[i].ID)
		holds = slices.Delete(holds, i, i+1)
		settled()
	}
	for _, who := range people {
		if got := h.until(requests[who], erasure.Completed); got.Outcome != erasure.Erased || len(got.Missing) != 0 {
			h.t.Errorf("%s: %+v", who, got)
		}
	}
	keys, err := stream.OpenKeyStore(h.t.Context(), h.kit.JS)
	h.check(err)
	if left, err := keys.List(h.t.Context(), "h."); err != nil || len(left) != 0 {
		h.t.Errorf("keys of released holds are left: %v %v", left, err)
	}
}

// wantReceipt checks that the receipt of a request says what holds keep of parts,
// and nothing else.
func (h *house) wantReceipt(id string, parts []erasure.Part, keeps kept) error {
	j, err := h.Receipt(h.t.Context(), id, all)
	if err != nil {
		return err
	}
	keys, err := h.ReceiptKeys(h.t.Context())
	h.check(err)
	got, _, err := receipt.Verify([]byte(j.Compact()), keys)
	h.check(err)
	if got.Tokens == nil || got.Tokens.Live == nil || *got.Tokens.Live != 3 {
		return fmt.Errorf("tokens %+v", got.Tokens)
	}
	want := map[string]int{}
	for hold, of := range keeps {
		for _, p := range parts {
			if of[p.Index] {
				want[hold]++
			}
		}
	}
	if len(want) == 0 {
		if got.Outcome != receipt.Erased || got.Kept != nil || len(got.Missing) != 0 || got.Destroyed == nil || got.Destroyed.Key == "" {
			return fmt.Errorf("nothing is kept: %+v", got)
		}
		return nil
	}
	said, missing := map[string]int{}, map[string]int{}
	if got.Kept != nil {
		for _, x := range got.Kept.Holds {
			said[x.ID] = x.Parts
			if x.Article != "GDPR 17(3)(e)" || x.Review != "2099-12-31" {
				return fmt.Errorf("%+v", x)
			}
		}
	}
	for _, x := range got.Missing {
		missing[x] = want[x]
	}
	if got.Outcome != receipt.Partial || !maps.Equal(said, want) || !maps.Equal(missing, want) {
		return fmt.Errorf("%s, kept %v, missing %v, want %v", got.Outcome, said, got.Missing, want)
	}
	return nil
}
