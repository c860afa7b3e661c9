package canary

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const value = "canary/ä?>~7f3a91"

func TestAValueIsFoundInEveryForm(t *testing.T) {
	t.Parallel()
	escaped := `\u0063\u0061\u006e\u0061\u0072\u0079\u002f\u00e4\u003f\u003e\u007e\u0037\u0066\u0033\u0061\u0039\u0031`
	planted := map[string]string{
		"URL": url.QueryEscape(value), "urlpath": strings.ToLower(url.PathEscape(value)), "JSON": `canary\/ä?\u003e~7f3a91`, "json2": `canary/ä?\u003e~7f3a91`,
		"clear": value, "hex": hex.EncodeToString([]byte(value)), "upper": strings.ToUpper(hex.EncodeToString([]byte(value))), "json": escaped,
	}
	for _, before := range []string{"", "x", "xy", "xyz", "a longer text "} {
		for _, after := range []string{"", "z", "zz", "zzz"} {
			planted["std"+before+after] = base64.StdEncoding.EncodeToString([]byte(before + value + after))
			planted["url"+before+after] = base64.RawURLEncoding.EncodeToString([]byte(before + value + after))
		}
	}
	for name, text := range planted {
		dir := t.TempDir()
		path := filepath.Join(dir, "deep", "file")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, around := range []string{"", strings.Repeat("\x00", 1<<20)} {
			if err := os.WriteFile(path, []byte(around+text+around), 0o600); err != nil {
				t.Fatal(err)
			}
			if hits, err := Scan(dir, "something else", value); err != nil || len(hits) == 0 || hits[0].Path != path {
				t.Errorf("%s: %v, %v", name, hits, err)
			}
		}
	}
}

func TestANameIsSearched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, url.PathEscape(value), "file")
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if hits, err := Scan(dir, value); err != nil || len(hits) != 1 || hits[0].Form != "URL" {
		t.Errorf("%v, %v", hits, err)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(value[:10]+"-"+value[10:]), 0o600); err != nil {
		t.Fatal(err)
	}
	if hits, err := Scan(dir, value); err != nil || len(hits) != 0 {
		t.Errorf("%v, %v", hits, err)
	}
	if _, err := Scan(filepath.Join(dir, "file", "below a file"), value); err == nil {
		t.Error("a folder that cannot be read is no error")
	}
}
