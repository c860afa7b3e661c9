package events

import "testing"

func TestReasonsHaveLabelsOfTheirOwnAndOthersOne(t *testing.T) {
	t.Parallel()
	seen := map[RevocationReason]bool{}
	for _, r := range RevocationReasons() {
		if got := ReasonLabel(string(r)); got != string(r) || seen[r] || got == OtherReason {
			t.Errorf("%s: label %s, seen before: %t", r, got, seen[r])
		}
		seen[r] = true
	}
	for _, s := range []string{"", "Logout", "because", "other"} {
		if got := ReasonLabel(s); got != OtherReason {
			t.Errorf("%q: label %s", s, got)
		}
	}
}
