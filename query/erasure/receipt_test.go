package erasure

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/query/receipt"
)

// receipt reads the receipt of a request, and verifies it.
func (o *office) receipt(id string) (*receipt.Receipt, receipt.JWS) {
	o.t.Helper()
	j, err := o.Receipt(o.t.Context(), id, all)
	if err != nil {
		o.t.Fatal(err)
	}
	keys, err := o.ReceiptKeys(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	r, _, err := receipt.Verify([]byte(j.Compact()), keys)
	if err != nil {
		o.t.Fatal(err)
	}
	return r, j
}

// counted is what the audit store knows of tokens.
type counted func(Living) (uint64, bool, error)

func (c counted) Living(_ context.Context, r Living) (uint64, bool, error) { return c(r) }

// TestE16Receipt: an erasure leaves one, which says what happened and of whom only
// to who has the salt.
func TestE16Receipt(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	const subject = "alice.müller+“x”@example.com"
	meet(kit, subject)
	var asked Living
	o := open(t, kit, func(c *Config) {
		c.Tokens = counted(func(r Living) (uint64, bool, error) { asked = r; return 7, true, nil })
	})
	kit.Run(o.Run)
	early := o.receive(subject)
	var tooEarly *EarlyError
	if _, err := o.Receipt(t.Context(), early.ID, all); !errors.As(err, &tooEarly) || tooEarly.State != Received {
		t.Errorf("before it was carried out: %v", err)
	}
	o.act(early.ID, Verified, "handler")
	o.act(early.ID, Approved, "Approver@acme.example")
	r := o.until(early.ID, Completed)
	got, j := o.receipt(r.ID)

	salt, err := receipt.ParseSalt(early.Salt)
	if err != nil || !got.IsOf(salt, "https://id.acme", subject) || got.IsOf(receipt.NewSalt(), "https://id.acme", subject) {
		t.Errorf("the salt %q does not tie it: %v", early.Salt, err)
	}
	steps := map[string]string{}
	for _, d := range got.Decisions {
		steps[d.What] = d.By
	}
	if len(steps) != 3 || steps["received"] != steps["verified"] || steps["approved"] == steps["verified"] || !strings.HasPrefix(steps["approved"], "p-") {
		t.Errorf("%+v", got.Decisions)
	}
	if got.Outcome != receipt.Erased || got.Request != r.ID || got.Destroyed.Method != receipt.Method || got.Kept != nil || len(got.Recipients) != 0 || len(got.Remains) < 5 {
		t.Errorf("%+v", got)
	}
	if got.Tokens == nil || got.Tokens.Live == nil || *got.Tokens.Live != 7 || asked.Person != r.subject || asked.At.Truncate(time.Second) != got.Tokens.IssuedUntil {
		t.Errorf("%+v, asked %+v", got.Tokens, asked)
	}
	o.wantMark(got.Destroyed.Key)
	o.wantCheckpoints(got)
	if got.Residue == nil || !got.Residue.Never { // the root of the kit cannot destroy
		t.Errorf("%+v", got.Residue)
	}
	wantNothingOf(t, j, subject, "https://id.acme", "handler", "Approver@acme.example", early.Salt, r.subject.String())
}

// renewedKeys is a keyring with one more key for receipts.
type renewedKeys struct {
	Keyring
	second func() (seal.ReceiptKey, bool)
}

func (k renewedKeys) ReceiptKeys(ctx context.Context) ([]seal.ReceiptKey, error) {
	keys, err := k.Keyring.ReceiptKeys(ctx)
	if second, there := k.second(); there {
		keys = append(keys, second)
	}
	return keys, err
}

// TestReceiptIsSignedAsOfTheApproval: with the key that was the newest then, however late
// it is carried out.
func TestReceiptIsSignedAsOfTheApproval(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	var second atomic.Pointer[seal.ReceiptKey]
	o := open(t, kit, func(c *Config) {
		c.Keyring = renewedKeys{c.Keyring, func() (seal.ReceiptKey, bool) {
			if k := second.Load(); k != nil {
				return *k, true
			}
			return seal.ReceiptKey{}, false
		}}
	})
	meet(kit, "alice")
	meet(kit, "bob")
	if _, err := o.ReceiptKeys(t.Context()); err != nil { // which makes the first
		t.Fatal(err)
	}
	before := o.approved("alice")
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	second.Store(&seal.ReceiptKey{Number: 2, Created: time.Now(), Private: private})
	after := o.approved("bob")
	kit.Run(o.Run)
	keys, err := o.ReceiptKeys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	for i, r := range []Request{before, after} {
		_, j := o.receipt(o.until(r.ID, Completed).ID)
		if _, by, err := receipt.Verify([]byte(j.Compact()), keys); err != nil || by.ID != keys[i].ID {
			t.Errorf("request %d is signed by %s, want %s: %v", i, by.ID, keys[i].ID, err)
		}
	}
}

// overdueKeys is a keyring of which an epoch keeps its key beyond its time.
type overdueKeys struct{ Keyring }

func (overdueKeys) Residue(context.Context) (time.Time, error) {
	return time.Time{}, fmt.Errorf("residue of epoch 1: %w", seal.ErrOverdue)
}

// TestReceiptGivesNoDateThatDoesNotHold: an erasure is carried out all the same.
func TestReceiptGivesNoDateThatDoesNotHold(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, func(c *Config) { c.Keyring = overdueKeys{c.Keyring} })
	kit.Run(o.Run)
	if got, _ := o.receipt(o.until(o.approved("alice").ID, Completed).ID); got.Residue != nil || got.Destroyed == nil {
		t.Errorf("residue %+v of %+v", got.Residue, got)
	}
}

// wantMark: what the receipt calls the key is what the keyring says was destroyed.
func (o *office) wantMark(mark string) {
	o.t.Helper()
	revoked := o.of(events.SubjectRevoked)
	if len(mark) != 32 || revoked[0].Record.Attributes[attrKeyMark] != mark {
		o.t.Errorf("mark %q", mark)
	}
	if left := keyringNames(o.t, o.kit, "d.acme."); !left["d.acme."+mark] {
		o.t.Errorf("%s is not in the keyring: %v", mark, left)
	}
}

// wantCheckpoints: they are those of the log's own batches.
func (o *office) wantCheckpoints(got *receipt.Receipt) {
	o.t.Helper()
	trees := map[uint64]string{}
	for _, e := range o.of(events.RequestApproved) {
		trees[e.Place.Size] = "before"
	}
	for _, e := range o.of(events.RequestExecuted) {
		trees[e.Place.Size] = "after"
		if want := base64.StdEncoding.EncodeToString(e.Place.Root[:]); got.Log.After.Root != want {
			o.t.Errorf("root %s, want %s", got.Log.After.Root, want)
		}
	}
	if trees[got.Log.Before.Size] != "before" || trees[got.Log.After.Size] != "after" || got.Log.Before.Size >= got.Log.After.Size {
		o.t.Errorf("%+v", got.Log)
	}
}

// wantNothingOf: none of values is in what was signed, as it is, encoded, or
// hashed without a key.
func wantNothingOf(t *testing.T, j receipt.JWS, values ...string) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(j.Payload)
	if err != nil {
		t.Fatal(err)
	}
	everything := bytes.ToLower(append([]byte(j.Compact()+"\n"), payload...))
	for _, v := range values {
		for how, form := range forms(v) {
			if bytes.Contains(everything, []byte(strings.ToLower(form))) {
				t.Errorf("%q is in it, %s: %s", v, how, payload)
			}
		}
	}
	if n := bytes.Count(bytes.ToLower(payload), []byte("anonym")); n > 0 {
		t.Errorf("it speaks of anonymity: %s", payload)
	}
}

// forms is how a value could stand in a document.
func forms(v string) map[string]string {
	quoted, _ := json.Marshal(v)
	ascii := func() (out string) {
		for _, c := range v {
			if c < 0x80 {
				out += string(c)
			} else {
				out += "\\u" + hex.EncodeToString([]byte{byte(c >> 8), byte(c)})
			}
		}
		return out
	}
	one, two, three := md5.Sum([]byte(v)), sha1.Sum([]byte(v)), sha256.Sum256([]byte(v))
	out := map[string]string{
		"in clear": v, "in hex": hex.EncodeToString([]byte(v)), "escaped": strings.Trim(string(quoted), `"`), "escaped to ASCII": ascii(),
		"as MD5": hex.EncodeToString(one[:]), "as SHA-1": hex.EncodeToString(two[:]), "as SHA-256": hex.EncodeToString(three[:]),
		"as half a SHA-256": hex.EncodeToString(three[:8]), "as SHA-256 in base64": base64.StdEncoding.EncodeToString(three[:])[:40],
	}
	for shift := range 3 { // what stands before it moves the groups of three bytes
		encoded := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + v))
		if from := (shift*8 + 5) / 6; len(encoded) > from+4 {
			out["in base64 behind "+strings.Repeat("x", shift)] = encoded[from : len(encoded)-2]
		}
	}
	return out
}

// TestScanFinds: the scan above sees what it looks for.
func TestScanFinds(t *testing.T) {
	t.Parallel()
	const v = "alice.müller@example.com"
	for how, form := range forms(v) {
		j := receipt.JWS{Payload: base64.RawURLEncoding.EncodeToString([]byte(`{"a":"` + form + `"}`))}
		payload, _ := base64.RawURLEncoding.DecodeString(j.Payload)
		if !bytes.Contains(payload, []byte(form)) {
			t.Errorf("%s", how)
		}
	}
	for before := range 3 {
		text := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(".", before) + v + "..."))
		found := false
		for how, form := range forms(v) {
			found = found || strings.HasPrefix(how, "in base64") && strings.Contains(text, form)
		}
		if !found {
			t.Errorf("not seen behind %d bytes", before)
		}
	}
}

// TestE16TwoReceiptsTellNobodyApart: of two people of whom the same happened, the
// receipts are the same but for what is random, and when.
func TestE16TwoReceiptsTellNobodyApart(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	kit.Run(o.Run)
	var got []*receipt.Receipt
	for _, subject := range []string{"alice@example.com", "bob@example.com"} {
		meet(kit, subject)
		r, _ := o.receipt(o.until(o.approved(subject).ID, Completed).ID)
		if len(r.Commitment) != 64 || r.Decisions[0].By == "" || r.Destroyed.Key == "" {
			t.Errorf("%+v", r)
		}
		r.Commitment, r.Destroyed.Key, r.Request, r.Log = "", "", "", nil
		r.Received, r.Due, r.Issued, r.Destroyed.At, r.Tokens.IssuedUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
		for i := range r.Decisions {
			r.Decisions[i].At, r.Decisions[i].By = time.Time{}, ""
		}
		got = append(got, r)
	}
	if d := cmp.Diff(got[0], got[1]); d != "" {
		t.Error(d)
	}
}

// TestReceiptOfEachOutcome, and of what is no erasure.
func TestReceiptOfEachOutcome(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	kit.Run(o.Run)
	o.until(o.approved("alice").ID, Completed)
	again := o.until(o.approved("alice").ID, Completed)
	if got, _ := o.receipt(again.ID); got.Outcome != receipt.AlreadyErased || got.Destroyed != nil || got.Tokens != nil || got.Residue != nil || got.Log.After != nil || got.Commitment == "" {
		t.Errorf("%+v", got)
	}
	never := o.until(o.approved("nobody").ID, Completed)
	if got, _ := o.receipt(never.ID); got.Outcome != receipt.NoMatch || got.Destroyed == nil || got.Destroyed.Key == "" {
		t.Errorf("%+v", got)
	}
	meet(kit, "dave")
	twice := map[Outcome]*receipt.Receipt{}
	both := []Request{o.receive("dave")}
	ccpa, _ := o.ask(Input{Subject: "dave", Regulation: CCPA})
	for _, r := range append(both, ccpa) {
		o.act(r.ID, Verified, "handler")
	}
	for _, r := range append(both, ccpa) {
		o.act(r.ID, Approved, "approver")
	}
	for _, r := range append(both, ccpa) {
		r = o.until(r.ID, Completed)
		twice[r.Outcome], _ = o.receipt(r.ID)
	}
	if one, other := twice[Erased], twice[AlreadyErased]; one == nil || other == nil || one.Destroyed == nil || other.Destroyed != nil || other.Log.After == nil {
		t.Errorf("asked under two regulations: %+v", twice)
	}
	denied := o.receive("carol")
	o.act(denied.ID, Verified, "handler")
	o.act(denied.ID, Denied, "approver")
	other, _ := o.ask(Input{Subject: "carol", Type: Restriction})
	for _, id := range []string{denied.ID, other.ID} {
		if _, err := o.Receipt(t.Context(), id, all); !errors.Is(err, ErrNoReceipt) {
			t.Error(err)
		}
	}
	if other.Salt != "" || len(keyringNames(t, kit, "v.")) != 1 {
		t.Errorf("salt %q of what leaves no receipt, keys %v", other.Salt, keyringNames(t, kit, "v."))
	}
	if _, err := o.Receipt(t.Context(), again.ID, only("globex")); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestWhoJoinsGetsTheSalt of the request that they joined: its receipt is theirs.
func TestWhoJoinsGetsTheSalt(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	first := o.receive("alice")
	second, joined := o.ask(Input{Subject: "alice"})
	if !joined || second.Salt != first.Salt || first.Salt == "" {
		t.Errorf("joined %t, %q and %q", joined, first.Salt, second.Salt)
	}
	if now, _ := o.Get(first.ID, all); now.Salt != "" {
		t.Errorf("anybody who sees the request gets %q", now.Salt)
	}
}

// TestReceiptIsMadeOnce: a worker is stopped after it signed and before that was
// on the log, and the one that follows it knows nothing of that. What they sign is the
// same to the byte.
func TestReceiptIsMadeOnce(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	seen := &witness{Publisher: kit.Publisher, forms: map[string]map[string]bool{}}
	signed := make(chan struct{}, 100)
	with := func(c *Config) {
		c.WaitFor = 5 * time.Second
		c.Publisher = &faultyPublisher{seen, events.RequestCompleted, func() error { kit.StopIntake(); return nil }, func() error { signed <- struct{}{}; return nil }}
	}
	first := open(t, kit, with)
	r := first.approved("alice")
	stop := kit.Run(first.Run)
	<-signed
	stop()
	second := open(t, kit, func(c *Config) {
		with(c)
		c.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } // later, and by another clock
		c.Tokens = counted(func(Living) (uint64, bool, error) { return 9, true, nil })
	})
	kit.Run(second.Run)
	<-signed
	if now, _ := second.Get(r.ID, all); now.State != Executing {
		t.Fatalf("it is %s: nothing was tried", now.State)
	}
	kit.Intake()
	second.until(r.ID, Completed)
	second.drained()
	if n := len(second.of(events.RequestCompleted)); n != 1 {
		t.Errorf("%d completions", n)
	}
	second.receipt(r.ID)
	seen.wantOneForm(t)
}

// keyringNames is the entries of the keyring under a prefix.
func keyringNames(t *testing.T, kit *lanetest.Kit, prefix string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	keys, err := stream.OpenKeyStore(t.Context(), kit.JS)
	if err != nil {
		t.Fatal(err)
	}
	names, err := keys.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		out[name] = true
	}
	return out
}
