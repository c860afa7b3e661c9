package guard_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
)

// A service on net/http. In production Feed is a *feed.Feed whose Run is
// running, and Keys come from NewRemoteKeys.
func Example() {
	feed := &decider{answer: revocation.Decision{State: revocation.Active}}
	g, err := guard.New(guard.Config{
		Issuer: issuer, Audience: []string{audience}, Tenant: "acme",
		Keys: keys(), Feed: feed, Now: exampleNow,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := guard.From(r.Context())
		fmt.Fprintf(w, "orders of %s", token.Claims.Subject)
	})))

	fmt.Println(call(mux, "/orders", exampleToken()))
	feed.answer.State = revocation.Revoked
	fmt.Println(call(mux, "/orders", exampleToken()))
	fmt.Println(call(mux, "/orders", ""))
	// Output:
	// 200 orders of alice
	// 401 {"type":"urn:rescind:problem:token","title":"Unauthorized","status":401,"detail":"the token was revoked","reason":"revoked"}
	// 401 {"type":"urn:rescind:problem:token","title":"Unauthorized","status":401,"detail":"send one access token as Authorization: Bearer","reason":"missing"}
}

// While the feed cannot vouch for a token, reading goes on and paying does not.
func ExampleGuard_With() {
	feed := &decider{answer: revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseStale}}
	g, err := guard.New(guard.Config{
		Issuer: issuer, Audience: []string{audience}, Tenant: "acme",
		Keys: keys(), Feed: feed, Now: exampleNow, Policy: guard.BestEffort,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") })
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Handler(done))
	mux.Handle("GET /pay", g.With(guard.Strict).Handler(done))

	fmt.Println(call(mux, "/orders", exampleToken()))
	fmt.Println(call(mux, "/pay", exampleToken()))
	// Output:
	// 200 done
	// 503 {"type":"urn:rescind:problem:unavailable","title":"Service Unavailable","status":503,"detail":"whether the token was revoked cannot be told at present","reason":"unknown"}
}

// A response that lasts ends when its token is revoked. That the handler looks
// at its context is all it takes: reading and writing fail besides.
func ExampleGuard_Handler() {
	feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}} // stands for a *feed.Feed
	g, err := guard.New(guard.Config{
		Issuer: issuer, Audience: []string{audience}, Tenant: "acme",
		Keys: keys(), Feed: feed, Now: exampleNow,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	server := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: welcome\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done() // or another event to send
		ended <- context.Cause(r.Context())
	})))
	defer server.Close()

	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+exampleToken())
	resp, err := server.Client().Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	fmt.Println(body.ReadString('\n'))
	feed.answers(revocation.Decision{State: revocation.Revoked})
	feed.changed(nil)
	fmt.Println(<-ended)
	_, err = io.ReadAll(body)
	fmt.Println("broken off:", err != nil)
	// Output:
	// data: welcome
	//  <nil>
	// token refused: revoked
	// broken off: true
}

func call(h http.Handler, path, token string) string {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return fmt.Sprint(w.Code, " ", w.Body)
}

func exampleNow() time.Time { return now }

func exampleToken() string {
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims())
	t.Header["typ"], t.Header["kid"] = "at+jwt", "ec"
	return must(t.SignedString(ecKey))
}
