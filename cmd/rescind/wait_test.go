package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/internal/client"
)

// answering is an API in some state: what it answers to a POST, and to each GET
// in turn, the last of them for ever.
func answering(t *testing.T, post string, gets ...func(http.ResponseWriter)) string {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, post)
			return
		}
		gets[min(asked.Add(1), int64(len(gets)))-1](w)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func says(body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { fmt.Fprint(w, body) }
}

func fails(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status) }
}

// TestTheRevocationIsNamedOnEveryWayOut: what was revoked can be lifted only by
// its id, so that is printed whatever becomes of the wait.
func TestTheRevocationIsNamedOnEveryWayOut(t *testing.T) {
	t.Parallel()
	const id = "019aa6b0-0000-7000-8000-000000000000"
	for name, get := range map[string]func(http.ResponseWriter){
		"a failure":  fails(http.StatusServiceUnavailable),
		"not known":  fails(http.StatusNotFound),
		"nobody yet": says(`{"id":"` + id + `","position":7,"enforced":{"of":1,"fresh":0,"at":0,"missing":["a"]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := answering(t, `{"id":"`+id+`","position":7}`, get)
			env := []string{"RESCIND_URL=" + url, "RESCIND_TOKEN=x"}
			var out, errs bytes.Buffer
			err := run(t.Context(), []string{"revoke", "token", "--tenant", "acme", "--iss", "i", "--jti", "t", "--reason", "r", "--wait", "100ms", "--json"}, env, &out, &errs)
			if err == nil {
				t.Error("the wait ended well")
			}
			var got client.Revocation
			if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.ID != id || got.Position != 7 {
				t.Errorf("printed %q (%v), want the id", out.String(), err)
			}
		})
	}
}

// TestBulkWaitsForVerifiersOfWhatIsApplied: the answer to the upload may say
// already that the API has it all; verifiers are waited for all the same.
func TestBulkWaitsForVerifiersOfWhatIsApplied(t *testing.T) {
	t.Parallel()
	const progress = `{"applied":true,"enforced":{"of":1,"fresh":1,"at":%d,"missing":[]}}`
	url := answering(t, "", says(fmt.Sprintf(progress, 0)), says(fmt.Sprintf(progress, 0)), says(fmt.Sprintf(progress, 1)))
	at := client.Bulk{Applied: true, Enforced: &client.Enforced{Of: 1, Fresh: 1}}
	got, err := new(bulkFile).applied(context.Background(), client.New(url, "x"), at)
	if err != nil || got.Enforced.At != 1 {
		t.Errorf("got %+v, %v, want it at the verifier", got.Enforced, err)
	}
}
