package callback_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/rescindhq/rescind/query/callback"
)

// What a recipient's handler does: read, verify, act once, answer.
func ExampleVerify() {
	const mine = "https://crm.example/rescind" // as the operator of Rescind registered it
	public, _ := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	keys := map[string]ed25519.PublicKey{callback.KeyID(public): public}
	acted := map[string]bool{} // in a database, with what was done

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, callback.MaxBody))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m, err := callback.Verify(r.Header, mine, body, keys, time.Unix(1_800_000_000, 0))
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if !acted[m.ID] { // the same message may come again
			acted[m.ID] = true
			fmt.Println("act on", m.Kind, m.ID)
		}
		w.WriteHeader(http.StatusAccepted)
	})

	for range 2 {
		req := httptest.NewRequest(http.MethodPost, mine, strings.NewReader(`{"hello":"world"}`))
		for name, value := range vectorFields {
			req.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		handler(w, req)
		fmt.Println(w.Code)
	}
	// Output:
	// act on erasure.notice notice-1
	// 202
	// 202
}
