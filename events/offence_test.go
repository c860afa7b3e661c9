package events

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	rawJWT = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	rawJWE = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVydGV4dA.dGFn" // alg dir: no encrypted key
)

// members puts a text into every member of an event that can hold it.
func members() map[string]func(ev *Event, s string) {
	m := map[string]func(ev *Event, s string){
		"id":              func(ev *Event, s string) { ev.ID = s },
		"source":          func(ev *Event, s string) { ev.Source = s },
		"type":            func(ev *Event, s string) { ev.Type = Type(s) },
		"environment":     func(ev *Event, s string) { ev.Environment = s },
		"aud":             func(ev *Event, s string) { ev.Data.Audience = Audience{"a", s} },
		"attribute":       func(ev *Event, s string) { ev.Data.Attributes = map[string]string{"a": s} },
		"attribute name":  func(ev *Event, s string) { ev.Data.Attributes = map[string]string{s: "a"} },
		"consent":         func(ev *Event, s string) { ev.Data.Consent = &Consent{ID: s} },
		"purpose":         func(ev *Event, s string) { ev.Data.Consent = &Consent{ID: "c", Purposes: []string{s}} },
		"personal":        func(ev *Event, s string) { ev.Data.Personal = map[string]any{"a": s} },
		"personal name":   func(ev *Event, s string) { ev.Data.Personal = map[string]any{s: 1} },
		"nested personal": func(ev *Event, s string) { ev.Data.Personal = map[string]any{"a": []any{map[string]any{"b": s}}} },
	}
	var d Data
	for i, text := range d.texts() {
		m[text.name] = func(ev *Event, s string) { *ev.Data.texts()[i].text = s }
	}
	return m
}

func validate(ev Event) *Refusal { return Policy{Environment: "dev"}.Validate(&ev, now) }

func wantReason(t *testing.T, name string, r *Refusal, want Reason) {
	t.Helper()
	switch {
	case r == nil && want == "":
	case r == nil:
		t.Errorf("%s: accepted, want %s", name, want)
	case r.Reason != want:
		t.Errorf("%s: %v, want %q", name, r, want)
	}
}

func TestOffencesAreFoundInEveryMember(t *testing.T) {
	t.Parallel()
	for name, put := range members() {
		for text, want := range map[string]Reason{
			rawJWT: ReasonRawToken, "Bearer " + rawJWE: ReasonRawToken, "4111 1111 1111 1111": ReasonCardNumber, "4111111111111111": ReasonCardNumber,
		} {
			ev := wantIssued()
			put(&ev, text)
			r := validate(ev)
			wantReason(t, name, r, want)
			if r != nil && (strings.Contains(r.Detail+r.ID+r.Source, text[7:]) || !r.Reason.Offence()) {
				t.Errorf("%s: %+v repeats the value or is no offence", name, r)
			}
		}
	}
}

func TestRawTokens(t *testing.T) {
	t.Parallel()
	b64 := base64.RawURLEncoding.EncodeToString
	spaced := b64([]byte("{ \"alg\":\"RS256\" }")) + ".e30.c2ln"
	lines := b64([]byte("{\n\"alg\": \"none\"}")) + ".e30."
	for text, want := range map[string]bool{
		rawJWT: true, rawJWE: true, spaced: true, lines: true, "token=" + spaced: true, "key" + rawJWT: true, "(" + rawJWT + ")": true,
		rawJWT[:70]: true, rawJWT + "~ZGlzY2xvc3VyZQ~": true, rawJWT[:strings.LastIndex(rawJWT, ".")+1]: true,
		"keycloak_session." + rawJWT: true, "monkey-business.new_session." + rawJWE: true, strings.Repeat("eyewitness.", 9) + rawJWT: true,
		"": false, "eyJhbGciOiJSUzI1NiJ9": false, "key.example.com": false, "ewe.ewe.ewe": false, "eyewitness.example.com": false,
		"money.order.example.org": false, "https://keycloak.example.com/realms/new.key.set": false, "eyJ.eyJ.eyJ": false,
	} {
		if got := holdsToken(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

// The numbers are those that the networks publish for tests.
var cards = []string{
	"4111111111111111", "4012888888881881", "4222222222222", "5555555555554444", "2223003122003222", "378282246310005",
	"371449635398431", "6011111111111117", "30569309025904", "38520000023237", "3530111333300000", "6200000000000005", "6304000000000000",
}

// TestNoTextCostsItsSquare: texts in which a header could begin anywhere are
// judged in the time that it takes to read them.
func TestNoTextCostsItsSquare(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		token bool
	}{
		"no beginnings":     {strings.Repeat("ew", 16<<10) + "..", false},
		"objects in object": {strings.Repeat("eyAiYSI6", 4<<10) + "..", true}, // { "a":{ "a":
		"beginnings":        {strings.Repeat("eyAi", 8<<10) + "..", true},
		"words":             {strings.Repeat("eyewitness.", 3<<10), false},
		"one long word":     {strings.Repeat("eyewitness.", 2<<10) + strings.Repeat("ew", 4<<10), false},
	} {
		start := time.Now()
		if got := holdsToken(c.text); got != c.token {
			t.Errorf("%s: a token: %v", name, got)
		}
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("%s: %d bytes took %s", name, len(c.text), took)
		}
	}
}

func TestCardNumbers(t *testing.T) {
	t.Parallel()
	for _, card := range cards {
		grouped := card[:4] + " " + card[4:8] + " " + card[8:12] + " " + card[12:]
		if card[0] == '3' && len(card) < 16 {
			grouped = card[:4] + "-" + card[4:10] + "-" + card[10:]
		}
		for _, text := range []string{
			card, grouped, strings.ReplaceAll(grouped, " ", "-"), "pan: " + card + ".", "(" + grouped + ")", "a" + grouped[:0] + " " + card + " b",
			"2026 " + grouped, "12/2026 " + grouped, "2026-" + strings.ReplaceAll(grouped, " ", "-"), "5555 2026 6011 " + grouped, "3782 202612 " + grouped,
			"pan=" + card + ";", "card-" + card, card + "_x", "ends with " + card + ".",
		} {
			if offence("data.note", text) == nil {
				t.Errorf("%q was not found", text)
			}
		}
		wrong := card[:len(card)-1] + fmt.Sprint((int(card[len(card)-1]-'0')+1)%10)
		for _, text := range []string{wrong, "1" + card, card + "12345", "a" + card, card + "f", "0." + card, card + ".5"} {
			if holdsCard(text, false) {
				t.Errorf("%q was taken for a card number", text)
			}
		}
		for _, text := range []string{"req-" + card, card + "-1", card + ".example", "a_" + card} {
			if offence("id", text) != nil || offence("data.jti", text) != nil {
				t.Errorf("%q was taken for a card number in an identifier", text)
			}
		}
	}
	for _, text := range []string{
		"1772366399123456", "1772366399123456789", "20260301115959123", "0198b7f2-8d2a-7c3e-9b1a-111111111111", "4111-1111-1111", "127.0.0.1",
		"41111111-1111-4111-8111-111111111111", "2001:db8:4111:1111:1111:1111::1", "+49 171 1234567 8901234", "4111 1111 1111 1112",
	} {
		if r := offence("data.note", text); r != nil {
			t.Errorf("%q: %v", text, r)
		}
	}
}

func TestNumbersOfNoIssuer(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]bool{
		"222099123456789": false, "222100123456789": true, "272099123456789": true, "272100123456789": false,
		"400012345678901": true, "4000123456789": false, "40001234567890": false, "510012345678901": true, "51001234567890": false,
		"352712345678901": false, "352812345678901": true, "310012345678901": false, "300512345678901": true, "34001234567890": true, "3400123456789": false,
	} {
		for digit := range 10 {
			if text := head + fmt.Sprint(digit); luhn(text) && holdsCard(text, false) != want {
				t.Errorf("%q was taken for a card number: %t", text, !want)
			}
		}
	}
}

func TestCardNumberAsNumber(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"unknown member": `{"iss":"i","jti":"j","pan":4111111111111111}`, "personal": `{"iss":"i","jti":"j","personal":{"a":[4111111111111111]}}`,
		"as a float": `{"iss":"i","jti":"j","pan":4111111111111111.0}`, "view": `{"iss":"i","jti":"j","view":4111111111111111}`,
	} {
		ev := wantIssued()
		var r *Refusal
		if ev.Data, r = decodeData([]byte(data)); r != nil {
			t.Fatal(r)
		}
		wantReason(t, name, validate(ev), ReasonCardNumber)
	}
}

func TestHealthClaims(t *testing.T) {
	t.Parallel()
	for _, claim := range HealthClaims() {
		for _, name := range []string{claim, strings.ToUpper(claim), "https://issuer.example/" + claim, strings.ReplaceAll(claim, "_", "-"), strings.ReplaceAll(claim, "_", ""), "urn:x:" + claim} {
			ev := wantIssued()
			ev.Data.Attributes = map[string]string{name: "x"}
			wantReason(t, "attribute "+name, validate(ev), ReasonHealth)
			ev = wantIssued()
			ev.Data.Personal = map[string]any{"a": []any{map[string]any{name: nil}}}
			wantReason(t, "personal "+name, validate(ev), ReasonHealth)
			if r := Offends([]byte(`{"data":{"x":` + fmt.Sprintf("{%q:1}", name) + `},"time":17}`)); r == nil || r.Reason != ReasonHealth {
				t.Errorf("raw %s: %v", name, r)
			}
		}
	}
	ev := wantIssued()
	ev.Data.Attributes = map[string]string{"conditional": "x", "treatments_page": "y", "region": "diagnosis"}
	wantReason(t, "other names", validate(ev), "")
}

func TestOffendsReadsWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]Reason{
		"": "", "{": "", `{"a":1}`: "", "not JSON " + rawJWT: ReasonRawToken, `{"a":"` + rawJWT: ReasonRawToken, "cut 4111111111111111": ReasonCardNumber,
		`{"a":"\u0065yJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"}`: ReasonRawToken, `[[{"b":["4111\u0031111 11111111"]}]]`: "",
		`{"a":"4111\u00311111 1111"}`: "", `{"a":"\u0034111111111111111"}`: ReasonCardNumber, `[{"mrn":1}]`: ReasonHealth,
	} {
		r := Offends([]byte(raw))
		wantReason(t, raw, r, want)
	}
}

func TestExposedValues(t *testing.T) {
	t.Parallel()
	const sub, ip, jti, sid = "alice@example.org", "203.0.113.77", "0198b7f2-8d2a", "session-778899"
	base := wantIssued()
	base.Data.Subject, base.Data.IP, base.Data.TokenID, base.Data.SessionID = sub, ip, jti, sid
	base.Data.Scope = "openid profile"
	for name, c := range map[string]struct {
		change func(ev *Event)
		want   Reason
	}{
		"nothing":               {func(ev *Event) {}, ""},
		"sub in an attribute":   {func(ev *Event) { ev.Data.Attributes = map[string]string{"who": "user " + sub + "."} }, ReasonExposed},
		"sub as a name":         {func(ev *Event) { ev.Data.Attributes = map[string]string{sub: "1"} }, ReasonExposed},
		"sub as a claim's name": {func(ev *Event) { ev.Data.Personal = map[string]any{sub: 1} }, ReasonExposed},
		"sub as a claim":        {func(ev *Event) { ev.Data.Personal = map[string]any{"email": sub} }, ""},
		"ip in an attribute":    {func(ev *Event) { ev.Data.Attributes = map[string]string{"peer": ip + ":443"} }, ReasonExposed},
		"jti in an attribute":   {func(ev *Event) { ev.Data.Attributes = map[string]string{"token": jti} }, ReasonExposed},
		"sid in the reason":     {func(ev *Event) { ev.Data.Reason = "end of " + sid }, ReasonExposed},
		"sub in the ticket":     {func(ev *Event) { ev.Data.Ticket = "mailto:" + sub }, ReasonExposed},
		"sub in aud":            {func(ev *Event) { ev.Data.Audience = Audience{"api", sub} }, ReasonExposed},
		"sub in scope":          {func(ev *Event) { ev.Data.Scope = "openid user:" + sub }, ReasonExposed},
		"sub in a purpose":      {func(ev *Event) { ev.Data.Consent = &Consent{ID: "c", Purposes: []string{sub}} }, ReasonExposed},
		"sub in the id":         {func(ev *Event) { ev.ID = sub + "-1" }, ReasonExposed},
		"jti in the id":         {func(ev *Event) { ev.ID = jti }, ""},
		"sub in a longer word":  {func(ev *Event) { ev.Data.Attributes = map[string]string{"a": sub + "anization"} }, ""},
		"after a longer word":   {func(ev *Event) { ev.Data.Attributes = map[string]string{"a": "x" + sub + " and " + sub} }, ReasonExposed},
		"a short sub":           {func(ev *Event) { ev.Data.Subject = "alice"; ev.Data.Attributes = map[string]string{"a": "alice"} }, ""},
		"a client's own token":  {func(ev *Event) { ev.Data.ClientID = sub; ev.Data.Audience = Audience{sub} }, ""},
		"the actor":             {func(ev *Event) { ev.Data.Actor = sub }, ""},
		"grant in an attribute": {func(ev *Event) {
			ev.Data.GrantID, ev.Data.Attributes = "grant-445566", map[string]string{"a": "grant-445566"}
		}, ReasonExposed},
		"grant in the id": {func(ev *Event) { ev.Data.GrantID, ev.ID = "grant-445566", "grant-445566" }, ""},
		"an address": {func(ev *Event) {
			ev.Data.Personal, ev.Data.Attributes = map[string]any{"email": "al@x.org"}, map[string]string{"contact": "<al@x.org>"}
		}, ReasonExposed},
		"an address inside": {func(ev *Event) {
			ev.Data.Personal, ev.Data.Ticket = map[string]any{"a": map[string]any{"b": []any{1, "al@x.org"}}}, "mailto:al@x.org"
		}, ReasonExposed},
		"an address in the id": {func(ev *Event) { ev.Data.Personal, ev.ID = map[string]any{"email": "al@x.org"}, "login al@x.org" }, ReasonExposed},
		"a telephone number": {func(ev *Event) {
			ev.Data.Personal, ev.Data.Reason = map[string]any{"tel": "+44 (20) 7946-0018"}, "call +44 (20) 7946-0018"
		}, ReasonExposed},
		"a date": {func(ev *Event) {
			ev.Data.Personal, ev.Data.Reason = map[string]any{"hired": "2026-11-22", "zip": "12345-6789", "number": "20261122"}, "leaver 2026-11-22, 12345-6789, 20261122"
		}, ""},
		"what many are called": {func(ev *Event) {
			ev.Data.Personal, ev.Data.Scope = map[string]any{"name": "openid profile", "zoneinfo": "Europe/Berlin", "birthday": "12-31"}, "openid profile"
			ev.Data.Attributes = map[string]string{"zone": "Europe/Berlin", "day": "12-31"}
		}, ""},
		"a user agent": {func(ev *Event) {
			ev.Data.UserAgent, ev.Data.Audience = "https://api.example", Audience{"https://api.example"}
		}, ""},
		"sub in a service": {func(ev *Event) {
			ev.Data.Subject, ev.Data.Issuer, ev.Source = "example", "https://id.example.org", "//id.example.org"
		}, ""},
		"a word of ours": {func(ev *Event) {
			ev.Source, ev.Data.Subject, ev.Data.Attributes = OwnSources+"requests", "access", map[string]string{"request_type": "access"}
		}, ""},
		"a word of ours, of others": {func(ev *Event) { ev.Data.Subject, ev.Data.Attributes = "access", map[string]string{"a": "access"} }, ReasonExposed},
	} {
		ev := base
		c.change(&ev)
		wantReason(t, name, validate(ev), c.want)
	}
}

// TestManyAddressesCostNoMoreThanSome: what is looked for is bounded, and the same
// each time.
func TestManyAddressesCostNoMoreThanSome(t *testing.T) {
	t.Parallel()
	ev := wantIssued()
	list := make([]any, 200)
	for i := range list {
		list[i] = fmt.Sprintf("address-%03d@example.org", i)
	}
	ev.Data.Personal = map[string]any{"a": list[100:], "b": list[:100]}
	if got := ev.Data.addresses(nil); len(got) != maxAddresses || got[0] != list[0] || got[maxAddresses-1] != list[maxAddresses-1] {
		t.Errorf("%d addresses, from %q to %q", len(got), got[0], got[len(got)-1])
	}
}

func TestARecordHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ev := wantIssued()
		ev.ID, ev.Data.TokenID, ev.Data.Subject = "event", "canary-jti", "canary-sub"
		ev.Data.SessionID, ev.Data.IP, ev.Data.UserAgent, ev.Data.Note, ev.Data.GrantID = "canary-sid", "canary-ip", "canary-agent", "canary-note", "canary-grant"
		ev.Data.Personal = map[string]any{"email": "canary@email", "address": map[string]any{"canary-name": "canary-zip"}}
		if rapid.Bool().Draw(t, "acts") {
			ev.Data.Actor = rapid.SampledFrom([]string{"canary-sub", "user:canary-sub", "canary-sub (self)", "mailto:canary@email"}).Draw(t, "actor")
		}
		canary := rapid.SampledFrom([]string{"canary-sub", "canary-ip", "canary@email"}).Draw(t, "canary")
		place := rapid.SampledFrom([]string{"none", "id", "aud", "attribute", "attribute name", "purpose", "personal name", "data.scope", "data.reason", "data.ticket"}).Draw(t, "place")
		if put := members()[place]; put != nil {
			put(&ev, rapid.SampledFrom([]string{"", "a ", "x:", "é-"}).Draw(t, "before")+canary+rapid.SampledFrom([]string{"", ".", " b"}).Draw(t, "after"))
			ev.Data.Personal["email"] = "canary@email" // or it was taken away
		}
		if validate(ev) != nil {
			return
		}
		b, err := NewRecord(&ev, "dev", now).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "canary") {
			t.Fatalf("the record holds a canary (%s): %q", place, b)
		}
	})
}

// TestWhoActs: the person is the subject, and who is named among what is told of
// the person is somebody whom the record does not name.
func TestWhoActs(t *testing.T) {
	t.Parallel()
	for actor, want := range map[string]string{
		"user-112233": ActorSubject, "user:user-112233": ActorSubject, "10.1.2.3": ActorSubject,
		"boss@x.org": Withheld, "mailto:boss@x.org": Withheld, "somebody": "somebody", "": "",
	} {
		ev := wantIssued()
		ev.Data.Subject, ev.Data.IP, ev.Data.Actor = "user-112233", "10.1.2.3", actor
		ev.Data.Personal = map[string]any{"manager_email": "boss@x.org"}
		if got := NewRecord(&ev, "dev", now).Actor; got != want {
			t.Errorf("%q: %q, want %q", actor, got, want)
		}
	}
}

// TestWhoActsOnWhomTheyAreLike: sub tells capital letters from small ones, and the log
// says of nobody else that they acted on themself; nor is the machine the person.
func TestWhoActsOnWhomTheyAreLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ subject, ip, actor, want string }{
		{"bob", "", "Bob", Withheld}, {"bob", "", "bob", ActorSubject}, {"bob", "", " bob", ActorSubject},
		{"Al@x.org", "", "al@X.org", ActorSubject}, {"a@b.c", "", "A@b.c", ActorSubject},
		{"bob", "127.0.0.1", "cron@127.0.0.1", "cron@127.0.0.1"}, {"bob", "10.0.0.1", "cron@10.0.0.1", ActorSubject},
	} {
		ev := wantIssued()
		ev.Data.Subject, ev.Data.IP, ev.Data.Actor = c.subject, c.ip, c.actor
		if got := NewRecord(&ev, "dev", now).Actor; got != c.want {
			t.Errorf("%q on %q at %q: %q, want %q", c.actor, c.subject, c.ip, got, c.want)
		}
	}
}

// TestRepeatedWithinWords: what is repeated beyond measure is found without looking on.
func TestRepeatedWithinWords(t *testing.T) {
	t.Parallel()
	const sub = "aaaaaaaa"
	for text, want := range map[string]Reason{
		sub + strings.Repeat("a", maxInWords-2): "", sub + strings.Repeat("a", maxInWords-1): ReasonExposed,
		strings.Repeat(sub+"x", 4*maxInWords): "", strings.Repeat(sub+"x", 4*maxInWords) + " " + sub: ReasonExposed,
	} {
		ev := wantIssued()
		ev.Data.Subject, ev.Data.Scope = sub, text
		wantReason(t, text, validate(ev), want)
	}
}

func FuzzOffends(f *testing.F) {
	f.Add(rawJWT, "x")
	f.Add("4111 1111 1111 1111", "\"")
	f.Fuzz(func(t *testing.T, a, b string) {
		Offends([]byte(a))
		if holdsToken(a) && !strings.ContainsAny(b, "\x00") && !holdsToken(b+" "+a+" "+b) {
			t.Fatalf("a token is hidden by what stands around it: %q in %q", a, b)
		}
		if holdsCard(a, false) && !holdsCard("("+a+")", false) {
			t.Fatalf("a card number is hidden by brackets: %q", a)
		}
	})
}

// TestGoodEventsPass: what is no address, card or token, however it looks, and what
// others have too, refuses nothing.
func TestGoodEventsPass(t *testing.T) {
	t.Parallel()
	clear := func(s string) func(ev *Event) {
		return func(ev *Event) {
			ev.Data.Attributes, ev.Data.Reason, ev.Data.Ticket, ev.Data.Actor = map[string]string{"a": s, "b": "x " + s}, s, s, s
		}
	}
	both := func(s string) func(ev *Event) {
		return func(ev *Event) {
			clear(s)(ev)
			ev.Data.Personal = map[string]any{"c": s, "d": []any{s}}
		}
	}
	good := map[string]func(ev *Event){
		"a date":               both("2026-11-22"),
		"a time":               both("2026-11-22T10:11:12.123456789+02:00"),
		"two dates":            both("2026-11-22 - 2026-12-01"),
		"a time zone":          both("+0200"),
		"an expanded year":     both("+002026"),
		"milliseconds":         both("1763806272123"),
		"nanoseconds":          both("1763806272123456789"),
		"a plain number":       both("12345678"),
		"a delta":              both("+42"),
		"a postal code":        both("12345-6789"),
		"a version":            both("10.15.7"),
		"a four-part version":  both("126.0.6478.127"),
		"a version with build": both("v1.2.3-rc.1+20261122"),
		"a UUID":               both("0198b7f3-8d2a-7c3e-9b1a-111111111111"),
		"a ULID":               both("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
		"a SHA":                both("da39a3ee5e6b4b0d3255bfef95601890afd80709"),
		"an IPv6 address":      both("2001:db8:4111:1111:1111:1111::1"),
		"a network":            both("10.0.0.0/8"),
		"a user agent":         both("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1"),
		"a trace":              both("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
		"a resource":           both("arn:aws:iam::123456789012:role/deploy"),
		"a URL":                both("https://api.example.com/v2/orders?limit=10"),
		"a locale":             both("de-DE"),
		"an e-mail domain":     both("example.com"),
		"a host and port":      both("10.0.0.7:8443"),
		"another's address":    clear("boss@example.org"),
		"a client's own address": func(ev *Event) {
			const client = "svc@project.iam.gserviceaccount.com"
			ev.Data.ClientID, ev.Data.Subject, ev.Data.Audience = client, client, Audience{client}
			ev.Data.Personal = map[string]any{"azp": client, "email": client}
		},
		"a client's own address in other letters": func(ev *Event) {
			ev.Data.ClientID, ev.Data.Subject, ev.Data.Audience = "Svc@Example.org", "svc@example.org", Audience{"SVC@example.org"}
			ev.Data.Personal = map[string]any{"azp": "svc@Example.org"}
		},
		"zeros": func(ev *Event) {
			ev.Data.Subject, ev.Data.Attributes = "000000", map[string]string{"trace": strings.Repeat("0", 32)}
		},
		"this machine": func(ev *Event) {
			ev.Data.IP, ev.Data.Audience = "127.0.0.1", Audience{"http://127.0.0.1:8080"}
		},
		"whoever is called as one of our reasons": func(ev *Event) {
			ev.Type, ev.Data.Subject, ev.Data.Reason = SubjectRevoked, "account", string(AccountDisabled)
		},
		"whoever is called as a standard scope": func(ev *Event) {
			ev.Data.Subject, ev.Data.Scope = "profile", "openid profile email"
		},
		"whoever is called as a verifier says": func(ev *Event) {
			ev.Data.Subject, ev.Data.Attributes = "decision", map[string]string{"decision": "active", "age_ms": "12"}
		},
		"a session that is called so": func(ev *Event) {
			ev.Type, ev.Data.SessionID, ev.Data.Reason = SessionRevoked, "session", string(SessionEnded)
		},
	}
	for name, change := range good {
		ev := wantIssued()
		ev.Data.Subject = "user-112233"
		change(&ev)
		wantReason(t, name, validate(ev), "")
	}
}

// TestLeaksInOtherLetters: an address is the same in capital letters and escaped as
// in a URL.
func TestLeaksInOtherLetters(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"capitals": "user Alice@EXAMPLE.org", "escaped": "/users/alice%40example.org/orders", "escaped capitals": "mailto:Alice%40Example.org",
		"all escaped": "%61lice%40example%2Eorg", "beside a percent sign": "100% of alice%40example.org", "between spaces": "\u00a0alice@example.org ",
		"escaped twice": "/users/alice%2540example.org",
	} {
		for place, put := range members() {
			ev := wantIssued()
			ev.Data.Subject = "alice@example.org"
			put(&ev, text)
			want := ReasonExposed
			switch place {
			case "aud", "attribute", "attribute name", "purpose", "personal name", "data.scope", "data.reason", "data.ticket", "id":
			default:
				continue
			}
			wantReason(t, name+" in "+place, validate(ev), want)
		}
		ev := wantIssued()
		ev.Data.Subject, ev.Data.Actor = "alice@example.org", text
		if got := NewRecord(&ev, "dev", now).Actor; got != ActorSubject {
			t.Errorf("%s: actor %q", name, got)
		}
	}
	for actor, want := range map[string]string{
		"User-112233": Withheld, " user-112233 ": ActorSubject, "USER-112233\u00a0": Withheld, " ": " ", "user%2D112233": ActorSubject, "user-1122334": "user-1122334",
	} {
		ev := wantIssued()
		ev.Data.Subject, ev.Data.Actor = "user-112233", actor
		if actor == " " {
			ev.Data.Subject = ""
		}
		if got := NewRecord(&ev, "dev", now).Actor; got != want {
			t.Errorf("actor %q: %q, want %q", actor, got, want)
		}
	}
}
