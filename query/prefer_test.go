package query

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPreferredWait(t *testing.T) {
	t.Parallel()
	const none = -time.Second
	for _, tt := range []struct {
		lines []string
		want  time.Duration
	}{
		{nil, none},
		{[]string{""}, none},
		{[]string{"wait=5"}, 5 * time.Second},
		{[]string{"wait=0"}, 0},
		{[]string{"wait=30"}, 30 * time.Second},
		{[]string{"wait=31"}, 30 * time.Second},
		{[]string{"wait=99999999999999999999999999"}, 30 * time.Second},
		{[]string{"Wait=5"}, 5 * time.Second},                                    // names are case-insensitive
		{[]string{`wait="5"`}, 5 * time.Second},                                  // a word may be quoted
		{[]string{"wait = 5"}, 5 * time.Second},                                  // bad white space is to be accepted
		{[]string{"wait=5; why=because"}, 5 * time.Second},                       // with a parameter
		{[]string{"respond-async, wait=5"}, 5 * time.Second},                     // RFC 7240 section 4.3
		{[]string{"respond-async", "wait=5, handling=lenient"}, 5 * time.Second}, // several lines are one
		{[]string{`foo="wait=7, wait=8"; bar, wait=5`}, 5 * time.Second},         // within quotes nothing is preferred
		{[]string{`foo="\", wait=7"`, "wait=5"}, 5 * time.Second},
		{[]string{`foo; wait=7, wait=5`}, 5 * time.Second}, // a parameter is no preference
		{[]string{"wait=5, wait=6"}, 5 * time.Second},      // the first counts
		{[]string{"wait=x, wait=6"}, none},                 // and it alone
		{[]string{"wait"}, none},
		{[]string{"wait="}, none},
		{[]string{`wait=""`}, none},
		{[]string{`wait="5`}, none},
		{[]string{"wait=-1"}, none},
		{[]string{"wait=+1"}, none},
		{[]string{"wait=1.5"}, none},
		{[]string{"wait=5s"}, none},
		{[]string{"wait=٥"}, none},
		{[]string{"waiting=5"}, none},
		{[]string{"await=5"}, none},
		{[]string{",,;;==,wait=5"}, 5 * time.Second},
	} {
		got, ok := preferredWait(http.Header{"Prefer": tt.lines})
		if !ok {
			got = none
		}
		if got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.lines, got, tt.want)
		}
	}
}

func FuzzPreferredWait(f *testing.F) {
	f.Add("respond-async, wait=5")
	f.Add(`a="\"`)
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := preferredWait(http.Header{"Prefer": {line}})
		if got < 0 || got > maxWait || !ok && got != 0 {
			t.Errorf("%q: %s %v", line, got, ok)
		}
		if ok && !strings.Contains(strings.ToLower(line), "wait") {
			t.Errorf("%q: %s", line, got)
		}
	})
}
