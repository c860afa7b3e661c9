package main

import (
	"strings"
	"testing"

	"github.com/rescindhq/rescind/internal/client"
)

// hostile is what an event may hold whose author means the terminal of whoever
// reads it: it clears the screen, and titles the window.
const hostile = "one\x1b[2J\x1b]0;owned\a\ttwo\u009b31m\rthree"

// TestHostileBytesAreShown gives every command that prints what strangers wrote
// something that would move a cursor.
func TestHostileBytesAreShown(t *testing.T) {
	t.Parallel()
	entry := &client.QuarantinedDetail{Payload: hostile + "\nfour"}
	entry.Event.ID, entry.Event.Source, entry.Event.Detail = hostile, hostile, hostile
	for name, print := range map[string]func(*strings.Builder){
		"quarantine show": func(b *strings.Builder) { printEntry(b, entry) },
		"audit search": func(b *strings.Builder) {
			printTrail(b, []client.Event{{Reason: hostile, Personal: map[string]any{"sub": hostile}}})
		},
		"check": func(b *strings.Builder) {
			b.WriteString(decided(&client.Checked{Decision: "revoked", Scope: "token", Reason: hostile}))
		},
	} {
		var b strings.Builder
		print(&b)
		if at := strings.IndexFunc(b.String(), func(c rune) bool { return c != '\n' && (c < ' ' || c >= 0x7f && c < 0xa0) }); at >= 0 {
			t.Errorf("%s prints %q", name, b.String()[at:])
		}
		if !strings.Contains(b.String(), "three") {
			t.Errorf("%s does not print what is harmless: %q", name, b.String())
		}
	}
	var b strings.Builder
	if printEntry(&b, entry); !strings.Contains(b.String(), "three\nfour") {
		t.Errorf("the lines of a payload are not kept: %q", b.String())
	}
}
