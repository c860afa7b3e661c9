package seal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestParseKEK(t *testing.T) {
	t.Parallel()
	raw := make([]byte, keySize)
	for i := range raw {
		raw[i] = byte(250 + i) // has + and / in base64
	}
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"standard":        {base64.StdEncoding.EncodeToString(raw), true},
		"standard, bare":  {base64.RawStdEncoding.EncodeToString(raw), true},
		"url":             {base64.URLEncoding.EncodeToString(raw), true},
		"url, bare":       {base64.RawURLEncoding.EncodeToString(raw), true},
		"white space":     {"\n " + base64.StdEncoding.EncodeToString(raw) + "\r\n", true},
		"empty":           {"", false},
		"one byte less":   {base64.StdEncoding.EncodeToString(raw[1:]), false},
		"one byte more":   {base64.StdEncoding.EncodeToString(append(raw, 1)), false},
		"hex":             {strings.Repeat("0a", keySize), false},
		"not base64":      {strings.Repeat("!", 44), false},
		"two of them":     {strings.Repeat(base64.StdEncoding.EncodeToString(raw)+"\n", 2), false},
		"mixed alphabets": {strings.Repeat("+", 21) + strings.Repeat("-", 22), false},
	} {
		k, err := ParseKEK(c.text)
		switch {
		case (err == nil) != c.ok:
			t.Errorf("%s: error %v, want ok %t", name, err, c.ok)
		case c.ok && string(k.key[:]) != string(raw):
			t.Errorf("%s: another key", name)
		case err != nil && c.text != "" && strings.Contains(err.Error(), c.text):
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}

func TestKeysDoNotPrintThemselves(t *testing.T) {
	t.Parallel()
	k := GenerateKEK()
	s := SubjectKey{Generation: 1}
	copy(s.key[:], k.key[:])
	s.ready = newSIV(&s.key)
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "kek", k, "config", Config{Root: k}, "subject", s)
	j, _ := json.Marshal(map[string]any{"kek": k, "subject": s})
	fmt.Fprintf(&out, "%v %+v %#v %s %x %v %#v %+v %s", k, k, k, k, k, Config{Root: k}, s, s, j)
	for _, secret := range []string{
		fmt.Sprintf("%x", k.key), base64.StdEncoding.EncodeToString(k.key[:]),
		strings.Trim(fmt.Sprint([keySize]byte(k.key)), "[]"),
		strings.ReplaceAll(strings.Trim(fmt.Sprint([keySize]byte(k.key)), "[]"), " ", ","),
	} {
		if strings.Contains(out.String(), secret) {
			t.Fatalf("a key was printed: %s", out.String())
		}
	}
}
