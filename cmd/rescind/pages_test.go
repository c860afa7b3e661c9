package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/internal/client"
)

// TestWhatIsDueFirstIsListedFirst: the API lists requests newest first, and what
// is due first is on the last of its pages.
func TestWhatIsDueFirstIsListedFirst(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Query().Get("cursor") {
		case "":
			fmt.Fprint(w, `{"requests":[{"id":"answered","state":"completed","due":"2026-01-01T00:00:00Z"},{"id":"late","state":"received","due":"2099-02-01T00:00:00Z","days_left":60}],"next":"c1"}`)
		case "c1":
			fmt.Fprint(w, `{"requests":[],"next":"c2"}`)
		case "c2":
			fmt.Fprint(w, `{"requests":[{"id":"first","state":"received","due":"2099-01-01T00:00:00Z","days_left":3,"urgency":"soon"}]}`)
		}
	}))
	t.Cleanup(s.Close)
	list := func(args ...string) string {
		var out bytes.Buffer
		env := []string{"RESCIND_URL=" + s.URL, "RESCIND_TOKEN=x"}
		if err := run(t.Context(), append([]string{"request", "list"}, args...), env, &out, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := list()
	first, late := strings.Index(text, "first"), strings.Index(text, "late")
	if first < 0 || late < first || strings.Contains(text, "answered") || !strings.Contains(text, "1 finished: --all shows them") {
		t.Errorf("listed:\n%s", text)
	}
	var all struct {
		Requests []client.Request `json:"requests"`
	}
	if err := json.Unmarshal([]byte(list("--json")), &all); err != nil || len(all.Requests) != 3 {
		t.Errorf("%d requests, %v; want all 3", len(all.Requests), err)
	}
}
