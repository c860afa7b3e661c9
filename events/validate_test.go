package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// least is an event of type t with what it requires and nothing else.
func least(t Type) Event {
	ev := Event{ID: "e-1", Source: "https://issuer.example", Type: t, Time: now, Tenant: "acme", Environment: "dev"}
	for _, name := range Required(t) {
		ev.Data.fill(name)
	}
	return ev
}

// fill gives the member that Required names a value that it may have.
func (d *Data) fill(name string) {
	key, isAttribute := strings.CutPrefix(name, "attributes.")
	switch {
	case isAttribute && d.Attributes == nil:
		d.Attributes = map[string]string{}
		d.fill(name)
	case isAttribute && (key == "hash" || key == "revocation"):
		d.Attributes[key] = Ref{1, 2, 3}.String()
	case isAttribute && (key == "position" || key == "feed_key"):
		d.Attributes[key] = "7"
	case isAttribute && key == "scope":
		d.Attributes[key] = string(ScopeToken)
	case isAttribute:
		d.Attributes[key] = "a-1"
	case name == "consent":
		d.Consent = &Consent{ID: "c-1"}
	default:
		for _, m := range d.texts() {
			if m.name == "data."+name {
				*m.text = "x-1"
			}
		}
	}
}

// drop takes the member that Required names away.
func (d *Data) drop(name string) {
	if key, ok := strings.CutPrefix(name, "attributes."); ok {
		delete(d.Attributes, key)
		return
	}
	if name == "consent" {
		d.Consent = nil
	}
	for _, m := range d.texts() {
		if m.name == "data."+name {
			*m.text = ""
		}
	}
}

func TestEveryTypeNeedsWhatItRequires(t *testing.T) {
	t.Parallel()
	for _, typ := range Types() {
		wantReason(t, typ.Name(), validate(least(typ)), "")
		for _, name := range Required(typ) {
			ev := least(typ)
			ev.Data.drop(name)
			r := validate(ev)
			wantReason(t, typ.Name()+" without "+name, r, ReasonMissing)
			if r != nil && !strings.Contains(r.Detail, name) {
				t.Errorf("%s: the refusal does not name %s: %s", typ.Name(), name, r.Detail)
			}
		}
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, typ := range Types() {
		if !typ.Known() || TypeNamed(typ.Name()) != typ || names[typ.Name()] || strings.Count(typ.Name(), ".") != 1 {
			t.Errorf("%s: not known, named twice, or not the type of its name", typ)
		}
		names[typ.Name()] = true
		lane := Control
		if slices.Contains([]Type{TokenIssued, TokenRefreshed, TokenVerified, TokenRejected}, typ) {
			lane = Access
		}
		if typ.Lane() != lane {
			t.Errorf("%s: lane %s", typ, typ.Lane())
		}
		scope := typ.RevokedScope()
		if typ == RevocationRestored {
			if scope != ScopeSubject {
				t.Errorf("%s revokes %q", typ, scope)
			}
			continue
		}
		if strings.HasSuffix(typ.Name(), ".revoked") != (scope != "") || scope != "" && scope.RevokedType() != typ {
			t.Errorf("%s revokes %q", typ, scope)
		}
	}
	for _, typ := range []Type{"", "token.issued", "dev.rescind.token.issued", "dev.rescind.token.issued.v2", "dev.rescind..v1", "DEV.rescind.token.issued.v1"} {
		if typ.Known() {
			t.Errorf("%q is known", typ)
		}
	}
	for typ, want := range map[Type]bool{
		TokenIssued: false, KeyPublished: false, ConsentGranted: false, TenantRevoked: false,
		RevocationLifted: true, RequestReceived: true, HoldPlaced: true, AuditAccessed: true, FindingOpened: true, SystemGap: true,
	} {
		if typ.Reserved() != want {
			t.Errorf("%s: reserved %t", typ, !want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("x", n) }
	many := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("a", i)] = "v"
		}
		return m
	}
	claims := func(n int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m[fmt.Sprint("a", i)] = "v"
		}
		return m
	}
	deep := func(n int) map[string]any {
		var v any = "x"
		for range n - 1 {
			v = []any{v}
		}
		return map[string]any{"a": v}
	}
	for name, c := range map[string]struct {
		change func(ev *Event)
		want   Reason
	}{
		"nothing wrong":       {func(ev *Event) {}, ""},
		"no id":               {func(ev *Event) { ev.ID = "" }, ReasonMissing},
		"no source":           {func(ev *Event) { ev.Source = "" }, ReasonMissing},
		"no type":             {func(ev *Event) { ev.Type = "" }, ReasonMissing},
		"no tenant":           {func(ev *Event) { ev.Tenant = "" }, ReasonMissing},
		"no time":             {func(ev *Event) { ev.Time = time.Time{} }, ReasonMissing},
		"unknown type":        {func(ev *Event) { ev.Type = "dev.rescind.token.stolen.v1" }, ReasonType},
		"next version":        {func(ev *Event) { ev.Type = "dev.rescind.token.issued.v2" }, ReasonType},
		"tenant with dot":     {func(ev *Event) { ev.Tenant = "a.b" }, ReasonSchema},
		"tenant a wildcard":   {func(ev *Event) { ev.Tenant = "*" }, ReasonSchema},
		"tenant not ASCII":    {func(ev *Event) { ev.Tenant = "bücher" }, ReasonSchema},
		"tenant too long":     {func(ev *Event) { ev.Tenant = long(MaxTenantBytes + 1) }, ReasonSchema},
		"longest tenant":      {func(ev *Event) { ev.Tenant = long(MaxTenantBytes) }, ""},
		"another environment": {func(ev *Event) { ev.Environment = "prod" }, ReasonEnvironment},
		"no environment":      {func(ev *Event) { ev.Environment = "" }, ""},
		"time ahead":          {func(ev *Event) { ev.Time = now.Add(5*time.Minute + 1) }, ReasonTime},
		"time just ahead":     {func(ev *Event) { ev.Time = now.Add(5 * time.Minute) }, ""},
		"time long ago":       {func(ev *Event) { ev.Time = time.Unix(0, 0) }, ""},
		"time before 1970":    {func(ev *Event) { ev.Time = time.Unix(-1, 0).UTC() }, ReasonTime},
		"cut-off ahead":       {func(ev *Event) { ev.Data.IssuedBefore = TimestampOf(now.Add(6 * time.Minute)) }, ReasonTime},
		"cut-off of a schedule": {func(ev *Event) {
			ev.Data.IssuedBefore, ev.Data.Starts = TimestampOf(now.Add(time.Hour)), TimestampOf(now.Add(time.Hour))
		}, ""},
		"cut-off after it": {func(ev *Event) {
			ev.Data.IssuedBefore, ev.Data.Starts = TimestampOf(now.Add(2*time.Hour)), TimestampOf(now.Add(time.Hour))
		}, ReasonTime},
		"starts in 400 days":     {func(ev *Event) { ev.Data.Starts = TimestampOf(now.Add(MaxStartAhead)) }, ""},
		"starts too far ahead":   {func(ev *Event) { ev.Data.Starts = TimestampOf(now.Add(MaxStartAhead + time.Second)) }, ReasonTime},
		"ended":                  {func(ev *Event) { ev.Data.NotAfter = 1 }, ""},
		"ends after it starts":   {func(ev *Event) { ev.Data.Starts, ev.Data.NotAfter = 1000, 1001 }, ""},
		"ends as it starts":      {func(ev *Event) { ev.Data.Starts, ev.Data.NotAfter = 1000, 1000 }, ReasonTime},
		"another outcome":        {func(ev *Event) { ev.Data.Outcome = "maybe" }, ReasonSchema},
		"failure":                {func(ev *Event) { ev.Data.Outcome = "failure" }, ""},
		"consent without id":     {func(ev *Event) { ev.Data.Consent = &Consent{} }, ReasonSchema},
		"control character":      {func(ev *Event) { ev.Data.Reason = "a\nb" }, ReasonSchema},
		"NUL in id":              {func(ev *Event) { ev.ID = "a\x00b" }, ReasonSchema},
		"lines in a note":        {func(ev *Event) { ev.Data.Note = "a\nb" }, ""},
		"not UTF-8":              {func(ev *Event) { ev.ID = "a\xff" }, ReasonSchema},
		"longest sub":            {func(ev *Event) { ev.Data.Subject = long(MaxTextBytes) }, ""},
		"sub too long":           {func(ev *Event) { ev.Data.Subject = long(MaxTextBytes + 1) }, ReasonTooLarge},
		"id too long":            {func(ev *Event) { ev.ID = long(MaxTextBytes + 1) }, ReasonTooLarge},
		"longest note":           {func(ev *Event) { ev.Data.Note = long(MaxNoteBytes) }, ""},
		"note too long":          {func(ev *Event) { ev.Data.Note = long(MaxNoteBytes + 1) }, ReasonTooLarge},
		"longest scope":          {func(ev *Event) { ev.Data.Scope = long(MaxNoteBytes) }, ""},
		"most attributes":        {func(ev *Event) { ev.Data.Attributes = many(MaxAttributes) }, ""},
		"too many attributes":    {func(ev *Event) { ev.Data.Attributes = many(MaxAttributes + 1) }, ReasonTooLarge},
		"attribute too long":     {func(ev *Event) { ev.Data.Attributes = map[string]string{"a": long(MaxAttributeBytes + 1)} }, ReasonTooLarge},
		"attribute name long":    {func(ev *Event) { ev.Data.Attributes = map[string]string{long(MaxNameBytes + 1): "a"} }, ReasonTooLarge},
		"attribute with control": {func(ev *Event) { ev.Data.Attributes = map[string]string{"a": "\x1b[2J"} }, ReasonSchema},
		"most audiences":         {func(ev *Event) { ev.Data.Audience = make(Audience, MaxAudiences) }, ""},
		"too many audiences":     {func(ev *Event) { ev.Data.Audience = make(Audience, MaxAudiences+1) }, ReasonTooLarge},
		"audience too long":      {func(ev *Event) { ev.Data.Audience = Audience{long(MaxTextBytes + 1)} }, ReasonTooLarge},
		"too many purposes":      {func(ev *Event) { ev.Data.Consent = &Consent{ID: "c", Purposes: make([]string, MaxAudiences+1)} }, ReasonTooLarge},
		"most claims":            {func(ev *Event) { ev.Data.Personal = claims(MaxPersonalMembers) }, ""},
		"too many claims":        {func(ev *Event) { ev.Data.Personal = claims(MaxPersonalMembers + 1) }, ReasonTooLarge},
		"claim name too long":    {func(ev *Event) { ev.Data.Personal = map[string]any{long(MaxNameBytes + 1): 1} }, ReasonTooLarge},
		"claims too large":       {func(ev *Event) { ev.Data.Personal = map[string]any{"a": long(MaxPersonalBytes)} }, ReasonTooLarge},
		"deepest claims":         {func(ev *Event) { ev.Data.Personal = deep(MaxPersonalDepth) }, ""},
		"claims too deep":        {func(ev *Event) { ev.Data.Personal = deep(MaxPersonalDepth + 1) }, ReasonTooLarge},
		"too much in clear": {func(ev *Event) {
			ev.Data.Attributes = many(MaxAttributes)
			for k := range ev.Data.Attributes {
				ev.Data.Attributes[k] = long(MaxAttributeBytes)
			}
			ev.Data.Audience = slices.Repeat(Audience{long(MaxTextBytes)}, MaxAudiences)
		}, ReasonTooLarge},
	} {
		ev := wantIssued()
		c.change(&ev)
		r := validate(ev)
		wantReason(t, name, r, c.want)
		if r != nil && strings.Contains(r.Detail, long(100)) {
			t.Errorf("%s: the refusal repeats a value", name)
		}
		if r == nil {
			checkAccepted(t, &ev)
		}
	}
}

// TestCutoffsWhereThereAreSome: what says one without effect would revoke more than
// it says.
func TestCutoffsWhereThereAreSome(t *testing.T) {
	t.Parallel()
	for _, typ := range Types() {
		ev := least(typ)
		ev.Data.IssuedBefore = TimestampOf(now)
		var want Reason
		switch typ {
		case TokenRevoked, SessionRevoked, GrantRevoked, KeyRevoked:
			want = ReasonSchema
		}
		wantReason(t, typ.Name(), validate(ev), want)
	}
}

func TestLiftsNameARevocation(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"hash": "xyz", "revocation": Ref{}.String() + "00", "scope": "everything", "position": "-1"} {
		ev := least(RevocationLifted)
		ev.Data.Attributes[name] = value
		wantReason(t, name, validate(ev), ReasonSchema)
	}
	ev := least(RevocationLifted)
	ev.Data.Attributes["hash"] = strings.Repeat("0", 32)
	wantReason(t, "zero hash", validate(ev), ReasonSchema)
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	strict := Policy{Environment: "prod", RequireEnvironment: true, MaxAhead: time.Second}
	for name, c := range map[string]struct {
		change func(ev *Event)
		want   Reason
	}{
		"ours":           {func(ev *Event) { ev.Environment = "prod" }, ""},
		"theirs":         {func(ev *Event) { ev.Environment = "dev" }, ReasonEnvironment},
		"none":           {func(ev *Event) { ev.Environment = "" }, ReasonEnvironment},
		"another case":   {func(ev *Event) { ev.Environment = "PROD" }, ReasonEnvironment},
		"a second ahead": {func(ev *Event) { ev.Environment, ev.Time = "prod", now.Add(time.Second) }, ""},
		"two ahead":      {func(ev *Event) { ev.Environment, ev.Time = "prod", now.Add(2*time.Second) }, ReasonTime},
	} {
		ev := wantIssued()
		c.change(&ev)
		wantReason(t, name, strict.Validate(&ev, now), c.want)
	}
}

func TestTheLargestRecordFitsALeaf(t *testing.T) {
	t.Parallel()
	ev := wantIssued()
	texts, attributes := ev.Data.texts(), ev.attributes()
	for _, m := range append(texts[:], attributes[:]...) {
		if m.name != "type" && m.name != "rescindenv" && m.name != "data.tenant" && m.name != "data.outcome" {
			*m.text = strings.Repeat("é", m.limit/2)
		}
	}
	ev.Data.Actor, ev.Data.Subject, ev.Data.ClientID = strings.Repeat("a", MaxTextBytes), "s", "s"
	ev.Data.IP, ev.Data.TokenID, ev.Data.SessionID, ev.Data.GrantID = "i", "j", "s", "g"
	ev.Data.Personal = map[string]any{}
	for i := range MaxPersonalMembers {
		ev.Data.Personal[fmt.Sprintf("%0*d", MaxNameBytes, i)] = i
	}
	ev.Data.Attributes = map[string]string{}
	for i := range MaxAttributes {
		name := fmt.Sprintf("%0*d", MaxNameBytes, i)
		ev.Data.Attributes[name] = strings.Repeat("a", MaxAttributeBytes)
		if validate(ev) != nil {
			delete(ev.Data.Attributes, name)
			break
		}
	}
	if r := validate(ev); r != nil {
		t.Fatal(r)
	}
	rec := NewRecord(&ev, "dev", now)
	rec.SubjectRef, rec.TokenRef, rec.SessionRef, rec.GrantRef, rec.PayloadHash = Ref{1}, Ref{1}, Ref{1}, Ref{1}, Hash{1}
	rec.Revocation = &Revocation{Scope: ScopeSession, Hash: Ref{1}, IssuedBefore: 1 << 50, Expires: 1 << 50, FeedKey: 1 << 31, Lifts: Ref{1}, LiftsIndex: 1 << 63, Starts: 1 << 50, NotAfter: 1 << 50}
	b, err := rec.Marshal()
	if err != nil || len(b) >= 64<<10 || len(b) < 40<<10 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
}

func TestRefusalsAreFitToPrint(t *testing.T) {
	t.Parallel()
	r := refuse(ReasonSchema, "%s", strings.Repeat("é", 500)+"\x1b[2J\n\x00"+"\xff")
	if len(r.Detail) > maxDetail || !utf8.ValidString(r.Detail) {
		t.Errorf("%d bytes: %q", len(r.Detail), r.Detail)
	}
	if r := refuse(ReasonSchema, "a\nb\x1b\u202ec"); r.Detail != "a?b??c" {
		t.Errorf("%q", r.Detail)
	}
	for in, want := range map[string]string{
		"short": "short", strings.Repeat("é", 100): strings.Repeat("é", 64), "x " + rawJWT: "[withheld]", "4111111111111111": "[withheld]",
	} {
		if got := clip(in, nil); got != want {
			t.Errorf("clip %q: %q", in, got)
		}
	}
}

// TestPersonalClaimsAreWhatJSONHas: what Validate passes is what an intake reads
// and judges, whatever Go type a publisher in Go takes.
func TestPersonalClaimsAreWhatJSONHas(t *testing.T) {
	t.Parallel()
	pan := int64(4111111111111111)
	for name, c := range map[string]struct {
		claim any
		want  Reason
	}{
		"an int":                  {7, ""},
		"a card number as an int": {int(pan), ReasonCardNumber},
		"as a json.Number":        {json.Number("4111111111111111"), ReasonCardNumber},
		"what JSON has":           {[]any{nil, true, "x", int64(1), uint64(1), 1.5, json.Number("1"), map[string]any{"a": []any(nil)}}, ""},
		"a list of texts":         {[]string{"4111111111111111"}, ReasonSchema},
		"a map of texts":          {map[string]any{"a": map[string]string{"mrn": "1"}}, ReasonSchema},
		"a struct":                {[]any{struct{ MRN string }{"1"}}, ReasonSchema},
		"raw JSON":                {json.RawMessage(`{"mrn":"1"}`), ReasonSchema},
		"an int32":                {int32(1), ReasonSchema},
		"no UTF-8":                {map[string]any{"a": []any{"\xff"}}, ReasonSchema},
		"a name that is no UTF-8": {map[string]any{"\xff": "a"}, ReasonSchema},
		"two faults":              {map[string]any{"a": []string{}, "b": "\xff", "c": map[string]string{}}, ReasonSchema},
	} {
		ev := wantIssued()
		ev.Data.Personal = map[string]any{"claim": c.claim}
		first := validate(ev)
		wantReason(t, name, first, c.want)
		for range 20 {
			if r := validate(ev); first != nil && *r != *first {
				t.Errorf("%s: %v, then %v", name, first, r)
			}
		}
	}
	ev := wantIssued()
	ev.Data.Personal = map[string]any{"claim": []string{"x"}}
	if r := validate(ev); r == nil || !strings.Contains(r.Detail, "[]string") || !strings.Contains(r.Detail, "[]any") {
		t.Errorf("%v names neither what is there nor what is wanted", r)
	}
}

// TestARefusalNamesNobody: whatever an event is refused for, and wherever.
func TestARefusalNamesNobody(t *testing.T) {
	t.Parallel()
	const alice = "alice@example.org"
	named := func(change func(ev *Event)) []byte {
		ev := wantIssued()
		ev.ID, ev.Data.Subject = "login-"+alice, alice
		change(&ev)
		b, err := MarshalEvent(&ev)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	untimed := bytes.Replace(named(func(*Event) {}), []byte(`"time"`), []byte(`"when"`), 1)
	for name, c := range map[string]struct {
		body []byte
		want string // of the id
	}{
		"exposed in the id":   {named(func(*Event) {}), "[withheld]"},
		"exposed elsewhere":   {named(func(ev *Event) { ev.ID, ev.Data.Reason = "e-1", alice }), "e-1"},
		"another environment": {named(func(ev *Event) { ev.Environment = "prod" }), "[withheld]"},
		"another tenant":      {named(func(ev *Event) { ev.Data.Tenant = "globex" }), "[withheld]"},
		"no time":             {untimed, "[withheld]"},
		"an odd attribute":    {bytes.Replace(untimed, []byte(`"when"`), []byte(`"time":7,"when"`), 1), "[withheld]"},
		"a subject":           {bytes.Replace(named(func(ev *Event) { ev.Data.Subject = "" }), []byte(`"time"`), []byte(`"subject":"`+alice+`","time"`), 1), "[withheld]"},
		"a source":            {named(func(ev *Event) { ev.ID, ev.Source, ev.Environment = "e-1", "/users/"+alice, "prod" }), "e-1"},
	} {
		decoded, err := Decode(Message{Body: c.body, Tenant: "acme", Type: TokenIssued})
		if err != nil || len(decoded) != 1 {
			t.Fatal(name, err)
		}
		r := decoded[0].Refusal
		if r == nil {
			r = validate(decoded[0].Event)
		}
		if r == nil || r.ID != c.want || strings.Contains(fmt.Sprint(*r), "alice") {
			t.Errorf("%s: %+v, want id %q", name, r, c.want)
		}
	}
}

func TestTheSameEventIsRefusedForTheSameReason(t *testing.T) {
	t.Parallel()
	ev := wantIssued()
	ev.Data.Subject, ev.Data.TokenID, ev.Data.Note = strings.Repeat("x", 600), "a\x00b", strings.Repeat("y", 5000)
	first := validate(ev)
	for range 100 {
		if r := validate(ev); *r != *first {
			t.Fatalf("%v, then %v", first, r)
		}
	}
}

func TestRefsAndTimestampsPrintAndParse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r Ref
		copy(r[:], rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "ref"))
		var back Ref
		text, err := r.MarshalText()
		if err != nil || back.UnmarshalText(text) != nil || back != r {
			t.Fatalf("%x prints as %q, which is %x", r, text, back)
		}
		stamp := Timestamp(rapid.Int64Range(0, maxNumericDate*1000).Draw(t, "stamp"))
		b, err := json.Marshal(stamp)
		var got Timestamp
		if err != nil || json.Unmarshal(b, &got) != nil || got != stamp {
			t.Fatalf("%d prints as %s, which is %d", stamp, b, got)
		}
	})
	for _, s := range []string{"x", "00", strings.Repeat("0", 31), strings.Repeat("0", 34), strings.Repeat("g", 32)} {
		if _, err := ParseRef(s); err == nil {
			t.Errorf("%q is a reference", s)
		}
	}
}

func TestEventRefTellsTenantSourceAndID(t *testing.T) {
	t.Parallel()
	refs := map[Ref]bool{}
	for _, p := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"abc", "", ""}, {"", "", "abc"}} {
		refs[EventRef(p[0], p[1], p[2])] = true
	}
	if len(refs) != 6 {
		t.Errorf("%d references for 6 identities", len(refs))
	}
}

func TestFeedHashTellsScopeAndIdentifiers(t *testing.T) {
	t.Parallel()
	k, other := FeedKey{Key: [16]byte{1}}, FeedKey{Key: [16]byte{2}}
	hashes := map[Ref]bool{}
	scopes := []Scope{ScopeToken, ScopeSession, ScopeSubject, ScopeClient, ScopeKey, ScopeIssuer, ScopeTenant, ScopeGrant, "", "t"}
	for _, s := range scopes { // whatever a scope is, it does not panic
		for _, id := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"", ""}, {strings.Repeat("i", 512), "x"}} {
			hashes[k.Hash(s, id[0], id[1])], hashes[other.Hash(s, id[0], id[1])] = true, true
		}
	}
	// A tenant's hash is made of nothing and an issuer's of the issuer alone.
	if want := 2 * (6*(len(scopes)-2) + 1 + 5); len(hashes) != want {
		t.Errorf("%d hashes, want %d", len(hashes), want)
	}
}

// TestWhatIsValidIsRead: a publisher is not told that an event was taken which
// the intake then cannot read.
func TestWhatIsValidIsRead(t *testing.T) {
	t.Parallel()
	members := map[string]func(*Data) *Timestamp{
		"iat": func(d *Data) *Timestamp { return &d.IssuedAt }, "exp": func(d *Data) *Timestamp { return &d.Expires },
		"nbf": func(d *Data) *Timestamp { return &d.NotBefore }, "issued_before": func(d *Data) *Timestamp { return &d.IssuedBefore },
		"starts": func(d *Data) *Timestamp { return &d.Starts }, "not_after": func(d *Data) *Timestamp { return &d.NotAfter },
	}
	for name, member := range members {
		for _, at := range []Timestamp{math.MinInt64, -1, 0, 1, 1 << 40, 1 << 53, math.MaxInt64} {
			ev := Event{
				ID: "e", Source: "s", Type: TokenRevoked, Time: time.Now(), Tenant: "acme", Environment: "dev",
				Data: Data{Issuer: "https://id.example", TokenID: "j"},
			}
			*member(&ev.Data) = at
			valid := Policy{Environment: "dev"}.Validate(&ev, time.Now()) == nil
			body, err := AppendProtobuf(nil, &ev)
			if err != nil {
				t.Fatal(err)
			}
			read, err := Decode(Message{ContentType: ContentTypeProtobuf, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if valid && read[0].Refusal != nil {
				t.Errorf("%s %d is valid, and refused when it is read: %v", name, at, read[0].Refusal)
			}
		}
	}
}
