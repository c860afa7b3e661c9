package intake

import (
	"strings"
	"testing"
	"time"
)

func TestConfigReportsEveryFault(t *testing.T) {
	t.Parallel()
	err := Config{
		MaxLifetime: time.Second, Skew: 2 * time.Hour, DedupWindow: time.Second, DedupIDs: 1, Grace: time.Hour,
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, fault := range []string{
		"open is", "log is", "quarantine", "keyring", "environment", "max lifetime", "skew", "dedup window", "dedup ids", "grace",
	} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not reported: %v", fault, err)
		}
	}
	r := newRig(t)
	cfg := r.config()
	if err := cfg.Validate(); err != nil {
		t.Errorf("a configuration at its defaults: %v", err)
	}
	cfg.Controls.Algorithms = []string{"HS256"}
	if _, err := New(cfg); err == nil {
		t.Error("accepted controls that allow HS256")
	}
}
