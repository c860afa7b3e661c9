package engine

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestUsersForAServerOfTheirOwn(t *testing.T) {
	t.Parallel()
	b, err := UsersXML([]User{
		{Name: "api", Password: "p<w&d", Grants: []string{"SELECT ON rescind.events"}},
		{Name: "projector", Password: "other", Settings: map[string]string{"max_threads": "2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for d := xml.NewDecoder(strings.NewReader(doc)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v\n%s", err, doc)
		}
	}
	for _, want := range []string{`<default remove="1"/>`, "<query>GRANT SELECT ON rescind.events</query>", "<max_threads>2</max_threads>", "<async_insert>0</async_insert>", "<password_sha256_hex>"} {
		if !strings.Contains(doc, want) {
			t.Errorf("no %s in\n%s", want, doc)
		}
	}
	for _, secret := range []string{"p<w", "p&lt;w", ">other<"} {
		if strings.Contains(doc, secret) {
			t.Errorf("a password is in\n%s", doc)
		}
	}
	if strings.Count(doc, "<grants>") != 2 {
		t.Error("an account without grants would have all rights")
	}
	if _, err := UsersXML([]User{{Name: "default", Password: "x"}}); err == nil {
		t.Error("an account named default was accepted")
	}
}
