package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/receipt"
)

// The attributes of request.executed: what is known when a key has gone, and
// could not be found out again by who comes later. All else that a receipt says is on the log
// as well, so that whoever makes it makes the same one.
const (
	attrKeyMark   = "key_mark"   // of subject.revoked: the mark that the key will leave
	attrKeptBy    = "kept"       // of request.executed: <hold>:<parts>, separated by spaces
	attrKeptParts = "kept_parts" // of the same
	attrKeptHolds = "kept_holds" // of the same: how many holds keep something
	attrResidue   = "residue"    // of the same: RFC 3339, or never; left out where nobody can say
	attrTokens    = "tokens"     // of the same: how many lived
)

// never is the residue where the root cannot destroy keys.
const never = "never"

// StepExecuted is that what an erasure destroys is destroyed.
const StepExecuted = "executed"

// execution is what a request.executed says.
type execution struct {
	at      time.Time // when it was logged
	place   lane.Place
	heeded  string  // the holds, as one digest
	keeps   []keeps // the first of them
	holds   int
	parts   int
	residue *receipt.Residue // nil where nobody could say
	tokens  *uint64
}

// keeps is how much a hold keeps of a person.
type keeps struct {
	hold  string
	parts int
}

// execute folds a request.executed.
func (r *Request) execute(e lane.Entry) {
	a := e.Record.Attributes
	x := &execution{at: r.Last().At, place: e.Place, heeded: a[attrHolds], residue: residueOf(a[attrResidue])}
	x.parts, _ = strconv.Atoi(a[attrKeptParts])
	x.holds, _ = strconv.Atoi(a[attrKeptHolds])
	for _, field := range strings.Fields(a[attrKeptBy]) {
		hold, n, _ := strings.Cut(field, ":")
		parts, _ := strconv.Atoi(n)
		x.keeps = append(x.keeps, keeps{hold, parts})
	}
	if n, err := strconv.ParseUint(a[attrTokens], 10, 64); err == nil {
		x.tokens = &n
	}
	if r.rounds++; r.rounds == 1 {
		r.destroyed = x.at
	} else if x.tokens == nil {
		x.tokens = r.executed.tokens
	}
	r.executed = x
}

// execute states that what r destroys is destroyed, once for each set of holds
// that was heeded, and is r as it is then. What was tried before, or by another
// worker, may say what other holds kept: then it is stated once more.
func (w *Workflow) execute(ctx context.Context, r Request, k kept) (Request, error) {
	for {
		now, err := w.Get(r.ID, r.isOf)
		if err != nil || now.ended() || now.executed != nil && now.executed.heeded == k.heeded {
			return now, err
		}
		attributes, err := w.execution(ctx, &now, k)
		if err != nil {
			return now, fmt.Errorf("state what was destroyed: %w", err)
		}
		step := ".executed." + strconv.Itoa(now.rounds)
		if err := w.record(ctx, &now, events.RequestExecuted, step, events.Data{Actor: Worker, Attributes: attributes}); err != nil {
			return now, err
		}
	}
}

// residueOf is what a receipt says of a residue as the log has it.
func residueOf(said string) *receipt.Residue {
	if said == never {
		return &receipt.Residue{Never: true}
	}
	until, err := time.Parse(time.RFC3339, said)
	if err != nil {
		return nil
	}
	return &receipt.Residue{UnreadableFrom: until}
}

func (r *Request) isOf(tenant string) bool { return tenant == r.Tenant }

func (w *Workflow) execution(ctx context.Context, r *Request, k kept) (map[string]string, error) {
	out := map[string]string{
		attrRequest: r.ID, attrHolds: k.heeded, attrKeptParts: strconv.Itoa(k.parts), attrKeptHolds: strconv.Itoa(len(k.holds)),
	}
	until, err := w.cfg.Keyring.Residue(ctx)
	switch {
	case err == nil:
		out[attrResidue] = until.UTC().Format(time.RFC3339)
	case errors.Is(err, seal.ErrPermanent):
		out[attrResidue] = never
	case !errors.Is(err, seal.ErrOverdue): // else a date would be signed that is known not to hold
		return nil, err
	}
	var by []string
	for i, hold := range k.holds[:min(len(k.holds), maxMissing)] {
		by = append(by, hold+":"+strconv.Itoa(k.each[i]))
	}
	if len(by) > 0 {
		out[attrKeptBy] = strings.Join(by, " ")
	}
	if n, known := w.living(ctx, r); known {
		out[attrTokens] = strconv.FormatUint(n, 10)
	}
	return out, nil
}

// Tokens counts what a revocation refuses.
type Tokens interface {
	// Living is how many of the person's tokens had not expired at a time, as
	// far as is known without waiting; false where that is not exact.
	Living(ctx context.Context, r Living) (n uint64, exact bool, err error)
}

// Living says whose tokens are meant, and when.
type Living struct {
	Tenant string
	Shard  uint16
	Person events.Ref
	At     time.Time
}

// A count that takes longer is left out of the receipt, and for a while none is
// asked for.
const (
	countFor   = time.Second
	countAgain = time.Minute
)

// living is how many tokens the revocation of r refused that had not expired.
func (w *Workflow) living(ctx context.Context, r *Request) (uint64, bool) {
	if w.cfg.Tokens == nil || r.cutoff == 0 || r.rounds > 0 || w.cfg.Now().UnixNano() < w.countFrom.Load() {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, countFor)
	defer cancel()
	n, exact, err := w.cfg.Tokens.Living(ctx, Living{r.Tenant, r.Shard, r.subject, r.cutoff.Time()})
	if err != nil {
		w.countFrom.Store(w.cfg.Now().Add(countAgain).UnixNano())
		w.cfg.Logger.WarnContext(ctx, "tokens of who is erased were not counted", slog.Uint64("index", r.Position), slog.Any("err", err))
	}
	return n, exact && err == nil
}

// markOf is the mark that the key of r's subject will leave, for the log: once
// the key is gone nobody can say it. It is empty where it cannot be read.
func (w *Workflow) markOf(ctx context.Context, r *Request) (string, error) {
	mark, err := w.cfg.Keyring.KeyMark(ctx, r.Tenant, r.subject)
	if errors.Is(err, seal.ErrDestroyed) || errors.Is(err, seal.ErrSealed) || errors.Is(err, seal.ErrEpoch) {
		return "", nil
	}
	return mark, err
}
