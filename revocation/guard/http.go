package guard

import (
	"encoding/json"
	"net"
	"net/http"
)

// Handler lets pass to next what carries a token that passes, for as long as it
// does. next finds the token with From.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r, ok := g.Authorize(w, r); ok {
			w, r, end := g.Follow(w, r)
			defer end()
			next.ServeHTTP(w, r)
		}
	})
}

// Authorize is the first half of Handler, for other frameworks. Where the token
// passes it returns r with the token in its context; else it has answered.
func (g *Guard) Authorize(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	t, err := g.Admit(r.Context(), Call{Authorization: r.Header.Values("Authorization"), Address: address(r), UserAgent: r.UserAgent()})
	if err != nil {
		writeRefusal(w, err.(*Refusal))
		return nil, false
	}
	return r.WithContext(NewContext(r.Context(), t)), true
}

// problem is RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason Reason `json:"reason"`
}

func (r *Refusal) problemType() string {
	if r.Status() == http.StatusServiceUnavailable {
		return "urn:rescind:problem:unavailable"
	}
	return "urn:rescind:problem:token"
}

func writeRefusal(w http.ResponseWriter, r *Refusal) {
	p := problem{Type: r.problemType(), Title: http.StatusText(r.Status()), Status: r.Status(), Detail: r.Detail(), Reason: r.Reason}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // text and numbers
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch {
	case p.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case r.Reason == ReasonMissing: // RFC 6750 section 3.1: no error code
		h.Set("WWW-Authenticate", "Bearer")
	default:
		h.Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+p.Detail+`"`)
	}
	w.WriteHeader(p.Status)
	w.Write(body) //nolint:errcheck // the caller is gone
}

// address is the caller's, without the port. What a proxy says of it is not
// looked at: anybody can send it.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
