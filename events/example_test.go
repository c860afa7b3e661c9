package events_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/rescindhq/rescind/events"
)

// happened is what an issuer has to say.
func happened() []events.Event {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	data := events.Data{Issuer: "https://id.example", Subject: "alice", TokenID: "t-1", KeyID: "k-1", Algorithm: "ES256",
		IssuedAt: events.TimestampOf(at), Expires: events.TimestampOf(at.Add(time.Hour))}
	revoked := events.Data{Issuer: "https://id.example", TokenID: "t-1", Reason: string(events.TokenLeaked)}
	return []events.Event{
		{ID: "e-1", Source: "https://id.example", Type: events.TokenIssued, Time: at, Tenant: "acme", Data: data},
		{ID: "e-2", Source: "https://id.example", Type: events.TokenRevoked, Time: at.Add(time.Minute), Tenant: "acme", Data: revoked},
	}
}

// door stands in for POST /v1/events: it reads what it is sent as that does.
func door(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	decoded, err := events.Decode(events.Message{ContentType: r.Header.Get("Content-Type"), Header: r.Header, Body: body})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, d := range decoded {
		fmt.Fprintln(w, d.Event.Type.Name(), d.Event.Data.TokenID, d.Refusal == nil)
	}
}

// An issuer without a connection to NATS sends a batch over HTTP. One that has
// one uses the publisher of package stream.
func ExampleMarshalEvents() {
	server := httptest.NewServer(http.HandlerFunc(door))
	defer server.Close()
	body, err := events.MarshalEvents(happened())
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.Post(server.URL+"/v1/events", events.ContentTypeBatch, bytes.NewReader(body)) // and an access token in Authorization
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	told, _ := io.ReadAll(resp.Body)
	fmt.Print(string(told))
	// Output:
	// token.issued t-1 true
	// token.revoked t-1 true
}

// The same in protobuf, which is smaller and quicker to read.
func ExampleMarshalProtobufBatch() {
	server := httptest.NewServer(http.HandlerFunc(door))
	defer server.Close()
	body, err := events.MarshalProtobufBatch(happened())
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.Post(server.URL+"/v1/events", events.ContentTypeProtobufBatch, bytes.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	told, _ := io.ReadAll(resp.Body)
	fmt.Print(string(told))
	// Output:
	// token.issued t-1 true
	// token.revoked t-1 true
}

// One event, for any NATS client or a request of its own.
func ExampleMarshalEvent() {
	body, err := events.MarshalEvent(&happened()[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(body))
	// Output:
	// {"specversion":"1.0","id":"e-2","source":"https://id.example","type":"dev.rescind.token.revoked.v1","time":"2026-11-01T12:01:00Z","datacontenttype":"application/json","rescindtenant":"acme","data":{"iss":"https://id.example","jti":"t-1","reason":"token_leaked"}}
}
