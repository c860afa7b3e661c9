package events

import (
	"maps"
	"slices"
	"strconv"
)

// dataReader reads data. A member that Rescind does not know is taken as
// personal, so that it is sealed and neither lost nor exposed. Names are
// compared as they are: "Sub" is unknown. A member that is null is not there.
// The first member of the wrong shape is remembered and the rest read all the
// same, as what follows may be no JSON at all.
type dataReader struct {
	*jsonReader
	d       Data
	seen    uint32         // a bit for each member of Data
	unknown map[string]any // members that Data does not have
	wrong   *Refusal
}

// decodeData reads the JSON of data: nothing where there is none.
func decodeData(raw []byte) (Data, *Refusal) {
	in := jsonReader{b: raw}
	if in.peek() == 0 {
		return Data{}, nil
	}
	d, r := in.data()
	if err := in.end(); err != nil {
		return Data{}, refuse(ReasonNotJSON, "data: %s", err)
	}
	return d, r
}

// data reads the value of data, wherever it stands.
func (r *jsonReader) data() (Data, *Refusal) {
	if r.null() {
		return Data{}, nil
	}
	if r.peek() != '{' {
		r.skip()
		return Data{}, refuse(ReasonSchema, "data is not a JSON object")
	}
	in := dataReader{jsonReader: r}
	in.enter('{')
	for first := true; in.more(first, '}'); first = false {
		name := in.name()
		if m := memberNamed(name); m == unknownMember {
			in.keepUnknown(intern(name))
		} else {
			in.member(m)
		}
	}
	in.mergeUnknown()
	return in.d, in.wrong
}

// The members of Data, by their order. In protobuf the field of a member is its
// place here, from 1: the order is fixed for ever.
const (
	tenantMember = iota
	issMember
	subMember
	jtiMember
	sidMember
	clientMember
	grantMember
	audMember
	scopeMember
	iatMember
	expMember
	nbfMember
	kidMember
	algMember
	actorMember
	outcomeMember
	reasonMember
	attributesMember
	viewMember
	consentMember
	issuedBeforeMember
	ticketMember
	textNoteMember
	ipMember
	userAgentMember
	personalMember
	startsMember
	notAfterMember
	unknownMember
)

var memberNames = [unknownMember]string{
	"tenant", "iss", "sub", "jti", "sid", "client_id", "grant_id", "aud", "scope", "iat", "exp", "nbf", "kid", "alg",
	"actor", "outcome", "reason", "attributes", "view", "consent", "issued_before", "ticket", "note", "ip", "user_agent", "personal",
	"starts", "not_after",
}

var membersByName = func() map[string]int {
	m := map[string]int{}
	for i, name := range memberNames {
		m[name] = i
	}
	return m
}()

func memberNamed(name []byte) int {
	if m, known := membersByName[string(name)]; known {
		return m
	}
	return unknownMember
}

// refuse remembers the first thing that is wrong.
func (r *dataReader) refuse(format string, args ...any) {
	if r.wrong == nil {
		r.wrong = refuse(ReasonSchema, format, args...)
	}
}

// member reads the value of a member that Data has.
func (r *dataReader) member(m int) {
	if r.seen&(1<<m) != 0 {
		r.refuse("data has two members %q", memberNames[m])
		r.skip()
		return
	}
	r.seen |= 1 << m
	if r.null() {
		return
	}
	if !r.text1(m) && !r.time(m) {
		r.composite(m)
	}
}

// want reports whether the next value begins as one of its kind does; else it
// reads it as wrong.
func (r *dataReader) want(begins byte, m int, kind string) bool {
	if r.peek() == begins {
		return true
	}
	r.refuse("data.%s: want %s", memberNames[m], kind)
	r.skip()
	return false
}

// text1 reads m if it is a text.
func (r *dataReader) text1(m int) bool {
	to, repeats := r.d.textMember(m)
	switch {
	case to == nil:
		return false
	case !r.want('"', m, "text"):
	case repeats:
		*to = intern(r.text())
	default:
		*to = string(r.text())
	}
	return true
}

// textMember is where the text m is kept, and whether it repeats from event to
// event; nil where m is no text.
func (d *Data) textMember(m int) (to *string, repeats bool) {
	switch m {
	case tenantMember:
		return &d.Tenant, true
	case issMember:
		return &d.Issuer, true
	case subMember:
		return &d.Subject, false
	case jtiMember:
		return &d.TokenID, false
	case sidMember:
		return &d.SessionID, false
	case clientMember:
		return &d.ClientID, true
	case grantMember:
		return &d.GrantID, false
	case scopeMember:
		return &d.Scope, true
	case kidMember:
		return &d.KeyID, true
	case algMember:
		return &d.Algorithm, true
	case actorMember:
		return &d.Actor, true
	case outcomeMember:
		return &d.Outcome, true
	case reasonMember:
		return &d.Reason, true
	case ticketMember:
		return &d.Ticket, true
	case textNoteMember:
		return &d.Note, false
	case ipMember:
		return &d.IP, false
	case userAgentMember:
		return &d.UserAgent, true
	default:
		return nil, false
	}
}

// time reads m if it is a time.
func (r *dataReader) time(m int) bool {
	to := r.d.timeMember(m)
	if to == nil {
		return false
	}
	at, ok := numericDate(r.numeral())
	if !ok {
		r.refuse("data.%s: want a NumericDate, seconds since 1970", memberNames[m])
	}
	*to = at
	return true
}

// timeMember is where the time m is kept, nil where m is none.
func (d *Data) timeMember(m int) *Timestamp {
	switch m {
	case iatMember:
		return &d.IssuedAt
	case expMember:
		return &d.Expires
	case nbfMember:
		return &d.NotBefore
	case issuedBeforeMember:
		return &d.IssuedBefore
	case startsMember:
		return &d.Starts
	case notAfterMember:
		return &d.NotAfter
	default:
		return nil
	}
}

// numeral reads a value and is its digits, or nil where it is no number.
func (r *dataReader) numeral() []byte {
	if c := r.peek(); c != '-' && !isDigit(c) {
		r.skip()
		return nil
	}
	return r.number()
}

// composite reads m, which is neither a text nor a time.
func (r *dataReader) composite(m int) {
	switch m {
	case audMember:
		r.audience()
	case attributesMember:
		r.attributes()
	case consentMember:
		r.consent()
	case viewMember:
		var err error
		if r.d.View, err = strconv.ParseUint(string(r.numeral()), 10, 64); err != nil {
			r.refuse("data.view: want a whole number of 64 bits")
		}
	case personalMember:
		r.personal()
	}
}

func (r *dataReader) audience() {
	if r.peek() == '"' {
		r.d.Audience = Audience{intern(r.text())}
		return
	}
	r.d.Audience = r.texts(audMember)
}

// texts reads an array of texts, none of them null.
func (r *dataReader) texts(m int) []string {
	if !r.want('[', m, "texts") {
		return nil
	}
	list := make([]string, 0, 4)
	r.enter('[')
	for first := true; r.more(first, ']'); first = false {
		if r.want('"', m, "texts") {
			list = append(list, intern(r.text()))
		}
	}
	return list
}

func (r *dataReader) attributes() {
	if !r.want('{', attributesMember, "an object") {
		return
	}
	r.d.Attributes = map[string]string{}
	r.enter('{')
	for first := true; r.more(first, '}'); first = false {
		name := intern(r.name())
		if _, again := r.d.Attributes[name]; again {
			r.refuse("data.attributes has two members %q", label(name))
		}
		switch {
		case r.null():
			r.d.Attributes[name] = ""
		case r.want('"', attributesMember, "texts"):
			r.d.Attributes[name] = intern(r.text())
		}
	}
}

// consent reads a consent: an object, or its id alone.
func (r *dataReader) consent() {
	c := new(Consent)
	r.d.Consent = c
	if r.peek() == '"' {
		c.ID = string(r.text())
		return
	}
	if !r.want('{', consentMember, "an object or text") {
		return
	}
	var id, purposes int
	r.enter('{')
	for first := true; r.more(first, '}'); first = false {
		switch name := r.name(); string(name) {
		case "id":
			id++
			if !r.null() && r.want('"', consentMember, "an id of text") {
				c.ID = string(r.text())
			}
		case "purposes":
			purposes++
			if !r.null() {
				c.Purposes = r.texts(consentMember)
			}
		default:
			r.refuse("data.consent: it has an id and purposes, and nothing else")
			r.skip()
		}
	}
	if id > 1 || purposes > 1 {
		r.refuse("data.consent has two members of one name")
	}
}

func (r *dataReader) personal() {
	if !r.want('{', personalMember, "an object") {
		return
	}
	m, twice := r.object()
	r.d.Personal = m
	if twice {
		r.refuse("data.personal has two members of one name")
	}
}

// keepUnknown reads the value of a member that Data does not have.
func (r *dataReader) keepUnknown(name string) {
	if r.unknown == nil {
		r.unknown = map[string]any{}
	}
	_, again := r.unknown[name]
	v, twice := r.value()
	r.unknown[name] = v
	if again || twice {
		r.refuse("data has two members of one name, at or inside %q", label(name))
	}
}

// mergeUnknown adds what is unknown to personal{}.
func (r *dataReader) mergeUnknown() {
	if r.d.Personal == nil {
		r.d.Personal = r.unknown
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.unknown)) {
		if _, taken := r.d.Personal[name]; taken {
			r.refuse("data and data.personal both have a member %q", label(name))
			return
		}
		r.d.Personal[name] = r.unknown[name]
	}
}
