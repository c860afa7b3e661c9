package events

import (
	"strings"
	"testing"
)

// TestAnIdentityIsLookedIntoNearWhatIsShown: whatever its length, a refusal looks
// for what is personal where it could be shown, and no further: a huge id and a huge
// sub would cost the product of their lengths.
func TestAnIdentityIsLookedIntoNearWhatIsShown(t *testing.T) {
	t.Parallel()
	const sub = "alice@example.com"
	for at, want := range map[int]string{
		shown - 3:                   "[withheld]",
		shown - 1:                   "[withheld]",
		shown + MaxTextBytes + 1:    strings.Repeat("-", shown),
		100*MaxTextBytes + len(sub): strings.Repeat("-", shown),
	} {
		ev := &Event{ID: strings.Repeat("-", at) + sub, Data: Data{Subject: sub}}
		if r := ev.Refuse(ReasonSchema, ""); r.ID != want {
			t.Errorf("a sub at byte %d: %q", at, r.ID)
		}
	}
}
