package revocation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func aReceipt() Receipt {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)
	return Receipt{ID: "orders-1", Name: "orders in Köln", Instance: "a1", Started: at.Add(-time.Hour), At: at, Feed: 1763700000000000001, Seq: 12,
		Places: []Reached{{Epoch: 1763700000000000003, Position: 41}, {Epoch: 7, Position: 0}}, Age: 321 * time.Millisecond}
}

func TestReceiptsSurviveTheWay(t *testing.T) {
	t.Parallel()
	cold := aReceipt()
	cold.Places, cold.Doubt = nil, CauseCold
	bye := aReceipt()
	bye.Stopped = true
	for _, r := range []Receipt{aReceipt(), cold, bye} {
		data, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseReceipt(data)
		if d := cmp.Diff(r, got); err != nil || d != "" {
			t.Errorf("%v: %s\n%s", err, d, data)
		}
	}
}

func TestReceiptsAreBounded(t *testing.T) {
	t.Parallel()
	r := aReceipt()
	good, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"no id":             {`"id":"orders-1"`, `"id":""`},
		"a wildcard":        {`"id":"orders-1"`, `"id":"*"`},
		"two tokens":        {`"id":"orders-1"`, `"id":"a.b"`},
		"a long id":         {`"id":"orders-1"`, `"id":"` + strings.Repeat("x", 65) + `"`},
		"no instance":       {`"instance":"a1"`, `"instance":""`},
		"a long name":       {`Köln`, strings.Repeat("x", 128)},
		"a line break":      {`Köln`, `\n`},
		"an escape":         {`Köln`, `\u001b[2J`},
		"epochs missing":    {`["1763700000000000003","7"]`, `["7"]`},
		"a negative place":  {`[41,0]`, `[-41,0]`},
		"too great a place": {`[41,0]`, `[18446744073709551616,0]`},
		"many shards":       {`[41,0]`, `[41` + strings.Repeat(",0", 1000) + `]`},
		"a time in no year": {`"at":"2026-03-01T12:00:00.123Z"`, `"at":"9999-12-31T23:59:59-23:59"`},
		"unknown state":     {`"state":"following"`, `"state":"dancing"`},
		"unknown doubt":     {`"state":"following"`, `"state":"following","doubt":"none"`},
		"negative age":      {`"age_ms":321`, `"age_ms":-1`},
		"great age":         {`"age_ms":321`, `"age_ms":9223372036854775807`},
		"not JSON":          {`{"id"`, `"id"`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if bad == string(good) {
			t.Fatalf("%s: nothing was changed in %s", name, good)
		}
		if _, err := ParseReceipt([]byte(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzParseReceipt(f *testing.F) {
	r := aReceipt()
	good, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"id":"a","instance":"b","state":"stopped"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseReceipt(data)
		if err != nil {
			return
		}
		again, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseReceipt(again)
		if d := cmp.Diff(r, back); err != nil || d != "" {
			t.Errorf("%v: %s", err, d)
		}
	})
}
