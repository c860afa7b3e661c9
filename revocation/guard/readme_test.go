package guard_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"google.golang.org/grpc"

	"github.com/rescindhq/rescind/revocation/guard"
	"github.com/rescindhq/rescind/revocation/guard/guardecho"
	"github.com/rescindhq/rescind/revocation/guard/guardgrpc"
)

// adopt is what the README shows, with what stands around it there.
func adopt(ctx context.Context, feedKey string, orders, pay http.Handler, e *echo.Echo) error {
	v, err := guard.Dial(guard.DialConfig{
		NATS: "tls://nats.example:4222", Credentials: "verifier.creds", FeedKey: feedKey, // printed by `rescind keys init`
		Name:   "orders", // by which those who revoke see that it refuses the token
		JWKS:   "https://id.example/jwks.json",
		Dir:    "/var/lib/orders", // a start without NATS refuses what was revoked before
		Config: guard.Config{Issuer: "https://id.example", Audience: []string{"orders"}, Tenant: "acme"},
		// publishes what became of each token; without these two nothing is published
		Environment: "prod", Source: "https://orders.example",
	})
	if err != nil {
		return err
	}
	defer v.Close(ctx)
	http.Handle("/orders", v.Handler(orders))              // signature, claims, revocation; from then on, too
	http.Handle("/pay", v.With(guard.Strict).Handler(pay)) // whatever the policy is elsewhere
	http.Handle("/readyz", v.ReadyHandler())               // 503 while revocations cannot be vouched for
	e.Use(guardecho.Middleware(v.Guard))                   // the same for Echo
	s := grpc.NewServer(                                   // and for gRPC
		grpc.ChainUnaryInterceptor(guardgrpc.Unary(v.Guard)),
		grpc.ChainStreamInterceptor(guardgrpc.Stream(v.Guard)),
	)
	s.Stop()
	return nil
}

// TestReadmeShowsWhatCompiles holds the README to adopt, line by line.
func TestReadmeShowsWhatCompiles(t *testing.T) {
	t.Parallel()
	if err := adopt(t.Context(), "no key", nil, nil, nil); err == nil {
		t.Error("no error")
	}
	_, section, _ := strings.Cut(string(must(os.ReadFile("../../README.md"))), "## From a verifier")
	_, section, _ = strings.Cut(section, "```go\n")
	shown, _, found := strings.Cut(section, "```")
	_, here, _ := strings.Cut(string(must(os.ReadFile("readme_test.go"))), "e *echo.Echo) error {\n")
	if !found || !strings.HasPrefix(strings.ReplaceAll("\n"+here, "\n\t", "\n"), "\n"+shown) {
		t.Errorf("the README shows what is not in this file:\n%s", shown)
	}
}
