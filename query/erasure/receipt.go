package erasure

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/receipt"
)

// saltMember is the name under which the sealed part of a request keeps its
// salt.
const saltMember = "receipt_salt"

// receiptOf signs the receipt of r, an erasure, as it stands. It says what the log
// says and nothing else, and EdDSA is deterministic: whoever makes it makes the
// same bytes, so that one that was signed and not logged is no second receipt.
func (w *Workflow) receiptOf(ctx context.Context, r *Request, outcome Outcome, missing []string) (receipt.JWS, error) {
	key, err := w.signer(ctx, r)
	if err != nil {
		return receipt.JWS{}, err
	}
	said, err := w.said(ctx, r, outcome)
	if err != nil {
		return receipt.JWS{}, err
	}
	said.Missing = missing
	return receipt.Sign(said, key)
}

// signer is the key that receipts were signed with when r was approved: the same
// whoever asks, however late.
func (w *Workflow) signer(ctx context.Context, r *Request) (ed25519.PrivateKey, error) {
	keys, err := w.cfg.Keyring.ReceiptKeys(ctx)
	if err != nil || len(keys) == 0 {
		return nil, errors.Join(err, errNoKey)
	}
	use := keys[0]
	for _, k := range keys {
		if k.Created.Before(r.approvedAt()) {
			use = k
		}
	}
	return use.Private, nil
}

var errNoKey = errors.New("there is no key to sign a receipt with")

// said is what the receipt of r says.
func (w *Workflow) said(ctx context.Context, r *Request, outcome Outcome) (receipt.Receipt, error) {
	who, err := w.pseudonyms(ctx, r)
	if err != nil {
		return receipt.Receipt{}, err
	}
	out := receipt.Receipt{
		Request: r.ID, Tenant: r.Tenant, Environment: w.cfg.Policy.Environment, Regulation: r.Regulation, Commitment: r.commitment,
		Received: r.Received, Due: r.Due, Extended: r.Extended, Decisions: decisions(r, who), Outcome: string(outcome),
		Recipients: r.tellings(), Remains: receipt.Remains(), Issued: r.settled(), Log: r.checkpoints(),
	}
	if r.cutoff != 0 {
		out.Tokens = &receipt.Tokens{IssuedUntil: r.cutoff.Time()}
	}
	if x := r.executed; x != nil {
		out.Residue = x.residue
		out.Kept = w.keptBy(r, x)
		if outcome != AlreadyErased {
			out.Destroyed = r.gone()
		}
		if out.Tokens != nil {
			out.Tokens.Live = x.tokens
		}
	}
	return out, nil
}

// gone is what the receipt says of the key.
func (r *Request) gone() *receipt.Destroyed {
	out := &receipt.Destroyed{Method: receipt.Method, At: r.destroyed, Key: cmp.Or(r.keyMark, r.repeated.mark)}
	if again := r.repeated; !again.first.IsZero() {
		out.Repetition = &receipt.Repetition{First: again.first, Found: again.found}
	}
	return out
}

// settled is when the last of what a receipt tells of was logged.
func (r *Request) settled() time.Time {
	at := r.approvedAt()
	if r.executed != nil {
		at = r.executed.at
	}
	for _, to := range r.tellings() {
		if to.At.After(at) {
			at = to.At
		}
	}
	return at
}

// tellings is the recipients of the subject's data, and what they answered when they
// were told, as the log says.
func (r *Request) tellings() (out []receipt.Recipient) {
	for _, p := range r.Recipients {
		out = append(out, receipt.Recipient{ID: p.ID, State: string(p.Delivery), At: p.Settled, Answer: p.Reason})
	}
	return out
}

// settledTellings is how many of them have answered.
func (r *Request) settledTellings() (n int) {
	for _, to := range r.tellings() {
		if !to.At.IsZero() {
			n++
		}
	}
	return n
}

// pseudonyms names people within one receipt. Who has not the tenant's key cannot
// try names.
func (w *Workflow) pseudonyms(ctx context.Context, r *Request) (func(actor string) string, error) {
	t, err := w.cfg.Keyring.LookupTenant(ctx, r.Tenant)
	if err != nil {
		return nil, fmt.Errorf("pseudonyms: %w", err)
	}
	return func(actor string) string {
		if actor == events.ActorSubject {
			return actor
		}
		sum := t.Digest([]byte("rescind receipt actor v1\x00" + r.ID + "\x00" + strings.ToLower(strings.TrimSpace(actor))))
		return "p-" + hex.EncodeToString(sum[:])
	}, nil
}

func decisions(r *Request, who func(string) string) (out []receipt.Step) {
	for _, h := range r.History {
		switch h.What {
		case string(Received), string(Verified), StepExtended, string(Approved):
			out = append(out, receipt.Step{What: h.What, At: h.At, By: who(h.Actor)})
		}
	}
	return out
}

// keptBy is what holds keep of r's subject.
func (w *Workflow) keptBy(r *Request, x *execution) *receipt.Kept {
	if x.parts == 0 {
		return nil
	}
	out := &receipt.Kept{Parts: x.parts, Holds: []receipt.Hold{}, More: x.holds - len(x.keeps)}
	for _, k := range x.keeps {
		h, err := w.GetHold(k.hold, r.isOf)
		if err == nil {
			out.Holds = append(out.Holds, receipt.Hold{ID: k.hold, Article: h.Article, Review: h.Review.Format(time.DateOnly), Parts: k.parts})
		}
	}
	return out
}

// checkpoints is where the log stood when r was approved, and when it said that
// the key was gone.
func (r *Request) checkpoints() *receipt.Checkpoints {
	if r.approved.Size == 0 {
		return nil
	}
	out := &receipt.Checkpoints{Shard: r.Shard, Before: checkpoint(r.approved)}
	if r.executed != nil {
		after := checkpoint(r.executed.place)
		out.After = &after
	}
	return out
}

func checkpoint(p lane.Place) receipt.Checkpoint {
	return receipt.Checkpoint{Size: p.Size, Root: base64.StdEncoding.EncodeToString(p.Root[:])}
}

// saltOf is the salt of r, for whoever named the subject. It is empty once it was
// erased with all that the request said.
func (w *Workflow) saltOf(ctx context.Context, r *Request) string {
	p, err := w.open(ctx, r)
	if err != nil {
		return ""
	}
	salt, _ := p.Members[saltMember].(string)
	return salt
}

// ErrNoReceipt says that there is no receipt of a request, and none will be.
var ErrNoReceipt = errors.New("there is no receipt of it")

// EarlyError says that there is no receipt of a request yet.
type EarlyError struct{ State State }

func (e *EarlyError) Error() string {
	return fmt.Sprintf("there is no receipt of a request that is %s", e.State)
}

// Receipt is the receipt of an erasure, as it stands on the log: of a partial one
// that of what was done until now. Besides ErrNotFound, the error is ErrNoReceipt, an
// *EarlyError, or may be tried again.
func (w *Workflow) Receipt(ctx context.Context, id string, reaches func(tenant string) bool) (receipt.JWS, error) {
	r, err := w.Get(id, reaches)
	if err != nil {
		return receipt.JWS{}, err
	}
	switch {
	case r.Type != Erasure, r.State == Denied, r.State == Cancelled:
		return receipt.JWS{}, ErrNoReceipt
	case r.receiptSeq == 0:
		return receipt.JWS{}, &EarlyError{r.State}
	}
	record, err := w.cfg.Lane.Record(ctx, r.Shard, r.receiptSeq, r.receiptAt)
	if err != nil {
		return receipt.JWS{}, fmt.Errorf("read receipt: %w", err)
	}
	return receiptIn(record.Attributes)
}

// ReceiptKeys is the public keys that receipts are or were signed with, the
// oldest first.
func (w *Workflow) ReceiptKeys(ctx context.Context) ([]receipt.Key, error) {
	keys, err := w.cfg.Keyring.ReceiptKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys of receipts: %w", err)
	}
	return publicKeys(keys), nil
}

func publicKeys(keys []seal.ReceiptKey) []receipt.Key {
	out := make([]receipt.Key, len(keys))
	for i, k := range keys {
		out[i] = receipt.NewKey(k.Private.Public().(ed25519.PublicKey))
	}
	return out
}
