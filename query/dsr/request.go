package dsr

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/query/erasure"
)

// Version is the version of OpenDSR that is spoken.
const Version = "2.0"

// The one kind of identity that names a person here: what a token has in sub.
const (
	CustomerID = "controller_customer_id"
	Raw        = "raw"
)

// maxIdentities is more than one person has of identities that are taken.
const maxIdentities = 32

// Request is a data subject's request as a controller sends it.
type Request struct {
	Regulation string
	ID         string // the controller's, in lower case
	Type       string
	Subject    string    // who it is about
	Issuer     string    // whose name for them that is; empty where it was not said
	Submitted  time.Time // by the data subject, to the controller
	Callbacks  []string

	said    string
	encoded string
}

// Said is all that r says, always in the same form.
func (r *Request) Said() string { return r.said }

// wire is a request's JSON.
type wire struct {
	Regulation string         `json:"regulation"`
	ID         string         `json:"subject_request_id"`
	Type       string         `json:"subject_request_type"`
	Identities []identity     `json:"subject_identities,omitempty"`
	Submitted  string         `json:"submitted_time"`
	APIVersion string         `json:"api_version,omitempty"`
	Callbacks  []string       `json:"status_callback_urls,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

type identity struct {
	Type   string `json:"identity_type"`
	Value  string `json:"identity_value"`
	Format string `json:"identity_format"`
}

// Fault is what is wrong with a request. It holds nothing that the request said.
type Fault struct {
	Member string
	Detail string // what would be right
}

func (f *Fault) Error() string { return f.Member + ": " + f.Detail }

func fault(member, format string, args ...any) error {
	return &Fault{member, fmt.Sprintf(format, args...)}
}

// uuid4 is a UUID of version 4 in lower case.
var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// ValidID reports whether s can be the id of a request.
func ValidID(s string) bool { return uuid4.MatchString(s) }

// Parse reads a request. Ours is the domain under which extensions are meant for
// us; regulation is what is taken where a request of version 1 names none, and
// empty for version 2.
func Parse(body []byte, ours, regulation string) (Request, error) {
	var w wire
	if err := decode(body, &w); err != nil {
		return Request{}, err
	}
	if w.Regulation == "" {
		w.Regulation = regulation
	}
	r := Request{Regulation: w.Regulation, ID: w.ID, Type: w.Type, Callbacks: w.Callbacks}
	if err := w.check(); err != nil {
		return Request{}, err
	}
	var err error
	if r.Submitted, err = time.Parse(time.RFC3339, w.Submitted); err != nil {
		return Request{}, fault("submitted_time", "want an RFC 3339 time, as 2026-10-02T15:00:00Z")
	}
	if r.Subject, err = subjectOf(w.Identities); err != nil {
		return Request{}, err
	}
	if r.Issuer, err = w.issuer(ours); err != nil {
		return Request{}, err
	}
	if r.said, err = w.text(); err != nil {
		return Request{}, err
	}
	r.encoded, err = w.redacted(ours)
	return r, err
}

func (w *wire) check() error {
	switch {
	case !slices.Contains([]string{erasure.GDPR, erasure.CCPA}, w.Regulation):
		return fault("regulation", "want gdpr or ccpa")
	case !ValidID(w.ID):
		return fault("subject_request_id", "want a UUID of version 4 in lower case, made at random")
	case !slices.Contains(Types(), w.Type):
		return fault("subject_request_type", "want one of %s", strings.Join(Types(), ", "))
	case w.APIVersion != "" && w.APIVersion != Version && w.APIVersion != "1.0":
		return fault("api_version", "want %s", Version)
	default:
		return nil
	}
}

// Types lists the types of request that OpenDSR knows.
func Types() []string { return []string{erasure.Access, erasure.Erasure, erasure.Portability} }

// subjectOf is whom identities name. None is passed over: what cannot be looked
// for refuses the request.
func subjectOf(identities []identity) (string, error) {
	const member = "subject_identities"
	if len(identities) == 0 || len(identities) > maxIdentities {
		return "", fault(member, "want 1 to %d", maxIdentities)
	}
	for i := range identities {
		if err := identities[i].check(); err != nil {
			return "", err
		}
		if identities[i].Value != identities[0].Value {
			return "", fault(member, "they name several people: want one request each")
		}
	}
	return identities[0].Value, nil
}

func (i *identity) check() error {
	switch format := strings.ToLower(i.Format); {
	case format == "md5" || format == "sha1":
		return fault("identity_format", "%s is not taken: whoever reads the hash of a name finds the name by trying. Send raw", format)
	case format == "sha256":
		return fault("identity_format", "sha256 is not taken: nobody is known here by the hash of a name. Send raw")
	case format != Raw:
		return fault("identity_format", "want raw")
	case i.Type != CustomerID:
		return fault("identity_type", "want %s: people are known here by what is sub in their tokens, and by nothing else", CustomerID)
	case i.Value == "":
		return fault("identity_value", "name the subject")
	default:
		return nil
	}
}

// extension is what a controller can tell us beside OpenDSR.
const extensionIssuer = "iss"

// issuer is what the extension of ours says. Those of others are not looked at.
func (w *wire) issuer(ours string) (string, error) {
	raw, there := w.Extensions[ours]
	if !there {
		return "", nil
	}
	members, is := raw.(map[string]any)
	if !is {
		return "", fault("extensions", "want an object under our domain")
	}
	iss, is := members[extensionIssuer].(string)
	switch {
	case len(members) != 1:
		return "", fault("extensions", "under our domain there is iss, and nothing else")
	case !is || iss == "":
		return "", fault("extensions", "iss: want the issuer of the subject")
	default:
		return iss, nil
	}
}

// text is w in one form: encoding/json sorts the members of extensions.
func (w *wire) text() (string, error) {
	b, err := json.Marshal(w)
	if err != nil {
		return "", fault("extensions", "cannot be written again")
	}
	return string(b), nil
}
