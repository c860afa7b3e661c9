package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Limits of one event. They keep a record under 64 KiB, the size of a leaf in
// a C2SP tile.
const (
	MaxMessageBytes    = 1 << 20 // one message or HTTP body, whatever its mode
	MaxMessageEvents   = 10_000  // events in one batch, and never more than its bytes can hold
	MaxTextBytes       = 512     // id, source, iss, sub, jti, sid and the like
	MaxNoteBytes       = 4 << 10 // note, user agent
	MaxNameBytes       = 64      // name of an attribute or a personal claim
	MaxAttributes      = 32
	MaxAttributeBytes  = 1 << 10 // one value
	MaxAudiences       = 32
	MaxPersonalBytes   = 64 << 10 // personal{} as JSON
	MaxBatchRecords    = 1000     // records in one batch of the log
	MaxTenantBytes     = 64
	MaxPersonalMembers = 64
	MaxPersonalDepth   = 10       // objects and arrays inside each other, personal{} among them
	MaxClearBytes      = 48 << 10 // all texts that the record keeps in clear
)

// Event is one thing that happened to a token, as it was published.
type Event struct {
	ID          string    // unique within (tenant, source)
	Source      string    // URI-reference of the publisher
	Type        Type      //
	Time        time.Time // when it happened, by the publisher's clock
	Tenant      string    // from the subject; over HTTP from rescindtenant, data.tenant or the caller's token
	Environment string    // CloudEvents extension rescindenv; "" where the publisher left it out
	Data        Data
}

// Data is the body of an event, under the names of RFC 7519 and RFC 9068.
// Which members a type requires is in its JSON Schema; everything else may be
// left out. Members marked personal are sealed before they are stored.
type Data struct {
	Tenant    string    `json:"tenant,omitempty"` // must agree with the event's tenant
	Issuer    string    `json:"iss,omitempty"`
	Subject   string    `json:"sub,omitempty"` // personal
	TokenID   string    `json:"jti,omitempty"` // personal
	SessionID string    `json:"sid,omitempty"` // personal
	ClientID  string    `json:"client_id,omitempty"`
	GrantID   string    `json:"grant_id,omitempty"` // personal
	Audience  Audience  `json:"aud,omitempty"`
	Scope     string    `json:"scope,omitempty"`
	IssuedAt  Timestamp `json:"iat,omitzero"`
	Expires   Timestamp `json:"exp,omitzero"`
	NotBefore Timestamp `json:"nbf,omitzero"`
	KeyID     string    `json:"kid,omitempty"`
	Algorithm string    `json:"alg,omitempty"`

	Actor      string            `json:"actor,omitempty"`      // who did it: a principal, not a data subject
	Outcome    string            `json:"outcome,omitempty"`    // success or failure
	Reason     string            `json:"reason,omitempty"`     // why, from a bounded set
	Attributes map[string]string `json:"attributes,omitempty"` // never personal data: kept in clear
	View       uint64            `json:"view,omitempty"`       // the revocation position that the verifier had applied
	Consent    *Consent          `json:"consent,omitempty"`    //

	IssuedBefore Timestamp `json:"issued_before,omitzero"` // cut-off of a revocation; iat <= cut-off is revoked
	Starts       Timestamp `json:"starts,omitzero"`        // a revocation has no effect before
	NotAfter     Timestamp `json:"not_after,omitzero"`     // a revocation ends by itself then
	Ticket       string    `json:"ticket,omitempty"`       // where the decision is written down
	Note         string    `json:"note,omitempty"`         // personal: free text

	IP        string         `json:"ip,omitempty"`         // personal
	UserAgent string         `json:"user_agent,omitempty"` // personal
	Personal  map[string]any `json:"personal,omitempty"`   // personal: claims by name, of the Go types that JSON decodes to, json.Number and int
}

// Consent is the consent that an event grants, withdraws or relies on. In JSON
// a bare string stands for the id alone.
type Consent struct {
	ID       string   `json:"id"`
	Purposes []string `json:"purposes,omitempty"`
}

// UnmarshalJSON reads an object or a string.
func (c *Consent) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &c.ID)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	for name, raw := range members {
		var err error
		switch name {
		case "id":
			err = json.Unmarshal(raw, &c.ID)
		case "purposes":
			c.Purposes, err = texts(raw)
		default:
			err = errors.New("a consent has an id and purposes, and nothing else")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Audience is the aud claim: a string or an array of strings in JSON.
type Audience []string

// UnmarshalJSON reads a string or an array of strings.
func (a *Audience) UnmarshalJSON(b []byte) (err error) {
	if len(b) > 0 && b[0] == '"' {
		*a = make(Audience, 1)
		return json.Unmarshal(b, &(*a)[0])
	}
	*a, err = texts(b)
	return err
}

// texts reads an array of strings, none of them null.
func texts(b []byte) ([]string, error) {
	var list []*string
	if err := json.Unmarshal(b, &list); err != nil || list == nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, errors.New("want an array of strings")
		}
		out[i] = *s
	}
	return out, nil
}

// Timestamp is a NumericDate in milliseconds since the Unix epoch. Zero means
// absent: a token issued at the epoch itself cannot be told from one that does
// not say, and is treated as the older of the two.
type Timestamp int64

// TimestampOf is t in milliseconds.
func TimestampOf(t time.Time) Timestamp { return Timestamp(t.UnixMilli()) }

// Time is t in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// MarshalJSON writes seconds, with a fraction where there is one.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t)/1000, 'f', -1, 64), nil
}

// maxNumericDate is the last second of the year 9999, MaxTimestamp the same: the
// last that a date of ours can name. An expiry then or later is none.
const (
	maxNumericDate           = 253402300799
	MaxTimestamp   Timestamp = maxNumericDate * 1000
)

// UnmarshalJSON reads a number of seconds. It refuses a number that is not a
// date between 1970 and 9999, so that milliseconds sent by mistake are seen.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	s, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	if err != nil || math.IsNaN(s) || s < 0 || s > maxNumericDate {
		return fmt.Errorf("%.40s is not a NumericDate: want seconds since 1970", b)
	}
	*t = Timestamp(math.Round(s * 1000))
	return nil
}

// Personal is the part of an event that can identify a person. It is sealed,
// travels beside the record and is never part of it.
type Personal struct {
	Subject   string         `cbor:"1,keyasint,omitempty" json:"sub,omitempty"`
	TokenID   string         `cbor:"2,keyasint,omitempty" json:"jti,omitempty"`
	SessionID string         `cbor:"3,keyasint,omitempty" json:"sid,omitempty"`
	GrantID   string         `cbor:"4,keyasint,omitempty" json:"grant_id,omitempty"`
	IP        string         `cbor:"5,keyasint,omitempty" json:"ip,omitempty"`
	UserAgent string         `cbor:"6,keyasint,omitempty" json:"user_agent,omitempty"`
	Note      string         `cbor:"7,keyasint,omitempty" json:"note,omitempty"`
	Members   map[string]any `cbor:"8,keyasint,omitempty" json:"personal,omitempty"`
}

// PersonalPart is the personal part of d, and whether there is one.
func (d *Data) PersonalPart() (Personal, bool) {
	p := Personal{
		Subject: d.Subject, TokenID: d.TokenID, SessionID: d.SessionID, GrantID: d.GrantID,
		IP: d.IP, UserAgent: d.UserAgent, Note: d.Note, Members: d.Personal,
	}
	texts := len(p.Subject) + len(p.TokenID) + len(p.SessionID) + len(p.GrantID) + len(p.IP) + len(p.UserAgent) + len(p.Note)
	return p, texts+len(p.Members) > 0
}
