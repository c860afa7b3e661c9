package revocation_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

var update = flag.Bool("update", false, "write the vectors of the feed anew")

// vectors is where those who read the feed in another language find what it must
// be read as: docs/feed.md.
var vectors = filepath.Join("..", "schemas", "testdata", "feed")

var (
	vectorSigner = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{42}, ed25519.SeedSize))
	vectorPublic = vectorSigner.Public().(ed25519.PublicKey)
	vectorNow    = time.Unix(1_900_000_000, 0).UTC()
)

// vectorEntry is an entry as a vector tells it: times in seconds.
type vectorEntry struct {
	Hash       string `json:"hash"`
	Index      uint64 `json:"index"`
	Lift       bool   `json:"lift"`
	Scope      string `json:"scope,omitempty"`
	Cutoff     int64  `json:"cutoff"`
	Starts     int64  `json:"starts"`
	Expires    int64  `json:"expires"`
	At         int64  `json:"at"`
	Reason     string `json:"reason,omitempty"`
	Tenant     string `json:"tenant"`
	Generation uint32 `json:"generation"`
}

// vectorMessage is a message and what it says. Numbers above 2^53 are strings.
type vectorMessage struct {
	Name    string        `json:"name"`
	Message string        `json:"message"` // base64
	Sum     string        `json:"sum"`     // of the message; of a snapshot, of the delta that it stands at
	Feed    string        `json:"feed"`
	Seq     uint64        `json:"seq"`
	Prev    uint64        `json:"prev,omitempty"`
	PrevSum string        `json:"prev_sum,omitempty"`
	Time    int64         `json:"time"`
	Epochs  []string      `json:"epochs"`
	Entries []vectorEntry `json:"entries"`
}

type vectorHash struct {
	Key   string       `json:"key"` // 16 bytes, hex
	Scope events.Scope `json:"scope"`
	Iss   string       `json:"iss"`
	ID    string       `json:"id"`
	Hash  string       `json:"hash"`
}

type vectorRefused struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

type vectorClaims struct {
	Iss      string  `json:"iss,omitempty"`
	Jti      string  `json:"jti,omitempty"`
	Sid      string  `json:"sid,omitempty"`
	Sub      string  `json:"sub,omitempty"`
	ClientID string  `json:"client_id,omitempty"`
	Kid      string  `json:"kid,omitempty"`
	GrantID  string  `json:"grant_id,omitempty"`
	Iat      float64 `json:"iat,omitempty"`
}

type vectorDecision struct {
	Name     string       `json:"name"`
	Tenant   string       `json:"tenant"`
	Claims   vectorClaims `json:"claims"`
	Decision string       `json:"decision"`
	Scope    events.Scope `json:"scope,omitempty"`
	Reason   string       `json:"reason,omitempty"`
}

// vectorFeed is a feed from its snapshot on, and what it says of tokens.
type vectorFeed struct {
	PublicKey string           `json:"public_key"` // 32 bytes, base64
	Now       int64            `json:"now"`        // s
	Keys      string           `json:"keys"`       // the body
	Signature string           `json:"keys_signature"`
	Snapshot  vectorMessage    `json:"snapshot"`
	Deltas    []vectorMessage  `json:"deltas"`
	Refused   []vectorRefused  `json:"refused"` // deltas that are not to be opened
	Hashes    []vectorHash     `json:"hashes"`
	Decisions []vectorDecision `json:"decisions"`
}

func vectorKey(tenant string, generation uint32) (k events.FeedKey) {
	k = events.FeedKey{Tenant: tenant, Generation: generation}
	copy(k.Key[:], fmt.Sprintf("%-12s %03d", tenant, generation))
	return k
}

// vectorHouse is a feed of two shards whose bytes do not depend on the clock.
type vectorHouse struct {
	head revocation.Head
	sum  events.Ref
	set  *revocation.Set
}

func (h *vectorHouse) delta(t *testing.T, entries ...revocation.Entry) ([]byte, *revocation.Delta) {
	t.Helper()
	d := &revocation.Delta{Head: h.head, Prev: h.head.Seq, PrevSum: h.sum, Entries: entries}
	d.Seq += 3 // messages that are not ours lie between
	d.Time += 1_000_000
	d.Reach(0, d.Position+uint64(len(entries)), d.LogSeq+1)
	b, err := d.Sign(vectorSigner)
	if err != nil {
		t.Fatal(err)
	}
	h.head, h.sum = d.Head, revocation.Sum(b)
	h.set.Apply(entries...)
	return b, d
}

func vectorRow(e *revocation.Entry) vectorEntry {
	s := func(t events.Timestamp) int64 { return int64(t / 1000) }
	return vectorEntry{hex.EncodeToString(e.Hash[:]), e.Index, e.Lift, string(e.Scope), s(e.IssuedBefore), s(e.Starts), s(e.Expires), s(e.At), e.Reason, e.Key.Tenant, e.Key.Generation}
}

func tellHead(m vectorMessage, h *revocation.Head) vectorMessage {
	m.Feed, m.Seq, m.Time = strconv.FormatUint(h.Feed, 10), h.Seq, h.Time
	for k := range uint16(h.Shards()) {
		m.Epochs = append(m.Epochs, strconv.FormatUint(h.Place(k).Epoch, 10))
	}
	return m
}

func tellDelta(name string, b []byte, d *revocation.Delta) vectorMessage {
	sum := revocation.Sum(b)
	m := tellHead(vectorMessage{Name: name, Message: base64.StdEncoding.EncodeToString(b), Sum: sum.String(), Prev: d.Prev, PrevSum: d.PrevSum.String(), Entries: []vectorEntry{}}, &d.Head)
	for i := range d.Entries {
		m.Entries = append(m.Entries, vectorRow(&d.Entries[i]))
	}
	return m
}

func tellSnapshot(b []byte, s *revocation.Snapshot) vectorMessage {
	m := tellHead(vectorMessage{Name: "snapshot", Message: base64.StdEncoding.EncodeToString(b), Sum: s.Sum.String(), Entries: []vectorEntry{}}, &s.Head)
	for e := range s.Entries() {
		m.Entries = append(m.Entries, vectorRow(&e))
	}
	return m
}

// makeVectors is everything that a reader has to get right, made by the code
// under test.
func makeVectors(t *testing.T) vectorFeed {
	t.Helper()
	keys := []events.FeedKey{vectorKey("acme", 1), vectorKey("acme", 2), vectorKey("globex", 1)}
	acme, newer, lost := &keys[0], &keys[1], vectorKey("initech", 1)
	at := func(s int64) events.Timestamp { return events.Timestamp(1000 * (vectorNow.Unix() + s)) }
	index := uint64(40)
	revoke := func(k *events.FeedKey, scope events.Scope, id string, change ...func(*revocation.Entry)) revocation.Entry {
		index += 7
		e := revocation.Entry{Hash: k.Hash(scope, "https://id.example", id), Index: index, Scope: scope, Expires: at(3600), At: at(-60), Reason: "logout",
			Key: revocation.KeyID{Tenant: k.Tenant, Generation: k.Generation}}
		for _, c := range change {
			c(&e)
		}
		return e
	}
	cutoff := func(s int64) func(*revocation.Entry) { return func(e *revocation.Entry) { e.IssuedBefore = at(s) } }
	lift := func(of revocation.Entry) revocation.Entry {
		return revocation.Entry{Hash: of.Hash, Index: of.Index, Lift: true, Expires: of.Expires, Key: of.Key}
	}
	h := &vectorHouse{set: revocation.NewSet(2), head: revocation.Head{Epoch: 1_795_000_000_000_000_001, Feed: 1_795_000_000_123_456_789, Seq: 1 << 33,
		Position: 46, LogSeq: 9, Time: vectorNow.Add(-time.Minute).UnixMicro(), Others: []revocation.Place{{Epoch: 1_795_000_000_000_000_002, Position: 5, LogSeq: 2}}}}
	early := revoke(acme, events.ScopeSession, "lifted-later")
	twice := revoke(acme, events.ScopeToken, "twice")
	forgotten, another := vectorKey("hooli", 1), vectorKey("hooli", 2)
	unread := revoke(&another, events.ScopeKey, "k-1", func(e *revocation.Entry) { e.Expires = 0 })
	begin, beginning := h.delta(t, revoke(acme, events.ScopeToken, "t-1"), early, twice, revoke(acme, events.ScopeSubject, "alice", cutoff(-300)),
		revoke(newer, events.ScopeToken, "t-2", func(e *revocation.Entry) { e.Expires, e.Reason = 0, "key_compromise" }), revoke(&lost, events.ScopeToken, "x"),
		revoke(acme, events.ScopeToken, "lifted-before"), revoke(acme, events.ScopeToken, "later", func(e *revocation.Entry) { e.Starts = at(600) }),
		revoke(acme, events.ScopeToken, "over", func(e *revocation.Entry) { e.Expires = at(0) }),
		revoke(&forgotten, events.ScopeToken, "x"), unread)
	h.delta(t, lift(beginning.Entries[6]), lift(beginning.Entries[9]))
	out := vectorFeed{PublicKey: base64.StdEncoding.EncodeToString(vectorPublic), Now: vectorNow.Unix()}
	packed, err := h.set.Snapshot(h.head, h.sum, vectorSigner)
	if err != nil {
		t.Fatal(err)
	}
	s, err := revocation.OpenSnapshot(vectorPublic, packed)
	if err != nil {
		t.Fatal(err)
	}
	out.Snapshot = tellSnapshot(packed, s)
	wide := []revocation.Entry{revoke(acme, events.ScopeToken, "t-3"), revoke(acme, events.ScopeClient, "app", cutoff(-200)), revoke(acme, events.ScopeKey, "k-9"),
		revoke(acme, events.ScopeGrant, "g-1"), revoke(newer, events.ScopeToken, "twice"), lift(twice)}
	issuer := revoke(&keys[2], events.ScopeIssuer, "", cutoff(-100))
	tenant := revoke(&keys[2], events.ScopeTenant, "", cutoff(-50), func(e *revocation.Entry) { e.Reason = "any text: für alle" })
	for i, entries := range [][]revocation.Entry{wide, nil, {lift(early), lift(unread), issuer, tenant}} {
		b, d := h.delta(t, entries...)
		out.Deltas = append(out.Deltas, tellDelta([]string{"revocations", "heartbeat", "lift and cut-offs"}[i], b, d))
	}
	body, signature, err := (&revocation.KeysReply{Keys: keys, Time: vectorNow.UnixMicro()}).Sign(vectorSigner)
	if err != nil {
		t.Fatal(err)
	}
	out.Keys, out.Signature = base64.StdEncoding.EncodeToString(body), base64.StdEncoding.EncodeToString(signature)
	out.Refused = vectorRefusals(t, begin, packed)
	out.Hashes = vectorHashes(keys)
	h.set.SetKeys(keys)
	out.Decisions = vectorDecisions(t, h.set)
	return out
}

// vectorRefusals is what no reader may open as a delta.
func vectorRefusals(t *testing.T, delta, snapshot []byte) (out []vectorRefused) {
	t.Helper()
	flip := func(at int) []byte {
		b := bytes.Clone(delta)
		b[at] ^= 1
		return b
	}
	d, err := revocation.OpenDelta(vectorPublic, delta)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"a bit of the signature", flip(3)}, {"a bit of the payload", flip(70)}, {"cut short", delta[:len(delta)-1]}, {"longer", append(bytes.Clone(delta), 0)},
		{"another key", other}, {"another purpose", snapshot}, {"nothing", nil},
	} {
		if _, err := revocation.OpenDelta(vectorPublic, c.b); err == nil {
			t.Errorf("%s was opened", c.name)
		}
		out = append(out, vectorRefused{c.name, base64.StdEncoding.EncodeToString(c.b)})
	}
	return out
}

func vectorHashes(keys []events.FeedKey) (out []vectorHash) {
	for _, scope := range revocation.Scopes() {
		for _, id := range []string{"", "a", "fifteen bytes..", "jti with ünïcode", string(bytes.Repeat([]byte("x"), 300))} {
			k := keys[len(out)%len(keys)]
			h := k.Hash(scope, "https://id.example", id)
			out = append(out, vectorHash{hex.EncodeToString(k.Key[:]), scope, "https://id.example", id, h.String()})
		}
	}
	return out
}

func vectorDecisions(t *testing.T, set *revocation.Set) (out []vectorDecision) {
	t.Helper()
	ago := func(s int64) float64 { return float64(vectorNow.Unix() - s) }
	for _, c := range []vectorDecision{
		{Name: "token", Tenant: "acme", Claims: vectorClaims{Jti: "t-1", Iat: ago(1)}},
		{Name: "token under another generation, never expires", Tenant: "acme", Claims: vectorClaims{Jti: "t-2", Iat: ago(1)}},
		{Name: "token of a delta", Tenant: "acme", Claims: vectorClaims{Jti: "t-3", Iat: ago(1)}},
		{Name: "another token", Tenant: "acme", Claims: vectorClaims{Jti: "t-4", Sub: "bob", Iat: ago(1)}},
		{Name: "another issuer", Tenant: "acme", Claims: vectorClaims{Iss: "https://other.example", Jti: "t-1", Iat: ago(1)}},
		{Name: "another tenant", Tenant: "globex", Claims: vectorClaims{Iss: "https://other.example", Jti: "t-1", Iat: ago(1)}},
		{Name: "lifted", Tenant: "acme", Claims: vectorClaims{Sid: "lifted-later", Iat: ago(1)}},
		{Name: "lifted before the snapshot", Tenant: "acme", Claims: vectorClaims{Jti: "lifted-before", Iat: ago(1)}},
		{Name: "revoked twice, lifted once", Tenant: "acme", Claims: vectorClaims{Jti: "twice", Iat: ago(1)}},
		{Name: "not begun", Tenant: "acme", Claims: vectorClaims{Jti: "later", Iat: ago(1)}},
		{Name: "over", Tenant: "acme", Claims: vectorClaims{Jti: "over", Iat: ago(1)}},
		{Name: "before the cut-off", Tenant: "acme", Claims: vectorClaims{Jti: "a", Sub: "alice", Iat: ago(301)}},
		{Name: "in the second of the cut-off", Tenant: "acme", Claims: vectorClaims{Jti: "a", Sub: "alice", Iat: ago(300) + 0.9}},
		{Name: "after the cut-off", Tenant: "acme", Claims: vectorClaims{Jti: "a", Sub: "alice", Iat: ago(299)}},
		{Name: "without iat", Tenant: "acme", Claims: vectorClaims{Sub: "alice"}},
		{Name: "the later cut-off of two", Tenant: "acme", Claims: vectorClaims{Sub: "alice", ClientID: "app", Iat: ago(250)}},
		{Name: "no cut-off outranks one", Tenant: "acme", Claims: vectorClaims{Sub: "alice", Kid: "k-9", Iat: ago(400)}},
		{Name: "grant", Tenant: "acme", Claims: vectorClaims{GrantID: "g-1", Iat: ago(1)}},
		{Name: "issuer", Tenant: "globex", Claims: vectorClaims{Jti: "any", Iat: ago(150)}},
		{Name: "tenant", Tenant: "globex", Claims: vectorClaims{Iss: "https://other.example", Jti: "any", Iat: ago(60)}},
		{Name: "tenant, issued after", Tenant: "globex", Claims: vectorClaims{Jti: "any", Iat: ago(49)}},
		{Name: "no key to read its entries", Tenant: "initech", Claims: vectorClaims{Jti: "x", Iat: ago(1)}},
		{Name: "no key to read its entries, which are lifted", Tenant: "hooli", Claims: vectorClaims{Jti: "y", Iat: ago(1)}},
		{Name: "of a tenant without entries", Tenant: "umbrella", Claims: vectorClaims{Jti: "x", Iat: ago(1)}},
	} {
		if c.Claims.Iss == "" {
			c.Claims.Iss = "https://id.example"
		}
		d := set.Decide(&revocation.Claims{Tenant: c.Tenant, Issuer: c.Claims.Iss, TokenID: c.Claims.Jti, SessionID: c.Claims.Sid, Subject: c.Claims.Sub,
			ClientID: c.Claims.ClientID, KeyID: c.Claims.Kid, GrantID: c.Claims.GrantID, IssuedAt: events.Timestamp(1000 * c.Claims.Iat)}, vectorNow)
		c.Decision, c.Scope, c.Reason = string(d.State), d.Scope, d.Reason
		out = append(out, c)
	}
	return out
}

// TestVectors: the vectors are what the code makes, but for the bytes of a
// snapshot, which a compressor may write otherwise: those must say the same.
func TestVectors(t *testing.T) {
	t.Parallel()
	want, file := makeVectors(t), filepath.Join(vectors, "feed.json")
	if *update {
		b, err := json.MarshalIndent(want, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got vectorFeed
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	packed, err := base64.StdEncoding.DecodeString(got.Snapshot.Message)
	if err != nil {
		t.Fatal(err)
	}
	s, err := revocation.OpenSnapshot(vectorPublic, packed)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(tellSnapshot(packed, s), got.Snapshot); d != "" {
		t.Error(d)
	}
	got.Snapshot.Message = want.Snapshot.Message
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("go test -run TestVectors -update ./revocation: %s", d)
	}
}

// TestNodeReadsTheVectors: code that shares nothing with ours reads them alike.
func TestNodeReadsTheVectors(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "node", filepath.Join("..", "docs", "feed", "vectors.mjs"), filepath.Join(vectors, "feed.json")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
