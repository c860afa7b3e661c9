package devtest

import (
	"errors"
	"net/http"
	"testing"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
)

// Forget has a person forgotten in a tenant, as a handler and an approver do
// it, and returns the request once it is completed.
func Forget(t testing.TB, s *dev.Stack, tenant, issuer, subject string) client.Request {
	t.Helper()
	return request(t, s, "erasure", tenant, issuer, subject)
}

// Export has what is known of a person exported, and returns the request once it is
// completed.
func Export(t testing.TB, s *dev.Stack, tenant, issuer, subject string) client.Request {
	t.Helper()
	return request(t, s, "access", tenant, issuer, subject)
}

func request(t testing.TB, s *dev.Stack, kind, tenant, issuer, subject string) (r client.Request) {
	t.Helper()
	handler, approver := client.New(s.File.HTTP, s.File.Tokens["handler"]), client.New(s.File.HTTP, s.File.Tokens["approver"])
	in := map[string]any{"type": kind, "regulation": "gdpr", "tenant": tenant, "subject": map[string]string{"iss": issuer, "sub": subject}}
	if err := handler.Call(t.Context(), "POST", "/v1/requests", in, &r); err != nil {
		t.Fatal(err)
	}
	path := "/v1/requests/" + r.ID
	reaches := func(what string, state string) {
		t.Helper()
		Eventually(t, what, func() (bool, error) {
			err := handler.Call(t.Context(), "GET", path, nil, &r)
			return r.State == state, err
		})
	}
	decide(t, handler, path+"/verify")
	reaches("the verification", "verified")
	decide(t, approver, path+"/approve")
	reaches("the "+kind+" of "+subject+" in "+tenant, "completed")
	return r
}

// decide posts a decision. An answer that it is recorded, and the outcome not
// seen yet, is for the caller to look for.
func decide(t testing.TB, c *client.Client, path string) {
	t.Helper()
	err := c.Call(t.Context(), "POST", path, map[string]any{}, nil)
	if p, is := errors.AsType[*client.Problem](err); err != nil && (!is || p.Status != http.StatusServiceUnavailable) {
		t.Fatal(err)
	}
}
