package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const manual = "../../docs/configuration.md"

// TestManual holds docs/configuration.md to the struct: one row a setting,
// in order.
func TestManual(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), table()) {
		t.Errorf("%s does not hold this table:\n%s", manual, table())
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| key | environment | flag | what | default | bounds |\n|---|---|---|---|---|---|\n")
	defaults := Default()
	at := settings(reflect.ValueOf(&defaults).Elem())
	for i, f := range Fields() {
		fmt.Fprintf(&b, "| `%s` | `%s` | `--%s` | %s | %s | %s |\n", f.Key, f.Env(), f.Flag(), f.Desc, shown(at[i]), f.Bounds)
	}
	return b.String()
}

// settings are those of a configuration, in the order of Fields.
func settings(v reflect.Value) (out []reflect.Value) {
	for _, f := range v.Fields() {
		if f.Kind() == reflect.Struct {
			out = append(out, settings(f)...)
			continue
		}
		out = append(out, f)
	}
	return out
}

// shown is a value as it is written in a file; nothing where it is empty.
func shown(v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	switch v := v.Interface().(type) {
	case time.Duration:
		text = strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(text)
	case []string:
		text = strings.Join(v, ",")
	}
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// TestBounds holds what the manual says to what is refused: each bound is permitted,
// and nothing beyond it.
func TestBounds(t *testing.T) {
	t.Parallel()
	for i, f := range Fields() {
		if f.Bounds == "" {
			if f.Type == reflect.TypeFor[time.Duration]() {
				t.Errorf("%s: no bounds", f.Key)
			}
			continue
		}
		lo, hi := bounds(t, f)
		try := func(n int64, permitted bool) {
			c := valid()
			set(settings(reflect.ValueOf(&c).Elem())[i], f.Key, n)
			err := c.Validate()
			if name := f.Key[strings.LastIndex(f.Key, ".")+1:]; (err == nil) != permitted || err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %d of %s: %v", f.Key, n, f.Bounds, err)
			}
		}
		if lo != nil {
			try(*lo, true)
			try(*lo-1, false)
		}
		if hi != nil {
			try(*hi, true)
			try(*hi+1, false)
		}
	}
}

// bounds are the least and the most that f can be, or have; nil where there is none.
func bounds(t *testing.T, f Field) (lo, hi *int64) {
	text := strings.ReplaceAll(strings.TrimSuffix(f.Bounds, " bytes"), "shards - 1", "0") // of the one shard of valid
	if least, is := strings.CutPrefix(text, "at least "); is {
		return number(t, f, least), nil
	}
	if most, is := strings.CutPrefix(text, "at most "); is {
		return nil, number(t, f, most)
	}
	least, most, _ := strings.Cut(text, " to ")
	return number(t, f, least), number(t, f, most)
}

func number(t *testing.T, f Field, text string) *int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if f.Type == reflect.TypeFor[time.Duration]() {
		var d time.Duration
		d, err = time.ParseDuration(text)
		n = int64(d)
	}
	if err != nil {
		t.Fatalf("%s: %v", f.Key, err)
	}
	return &n
}

// set makes v n, or n long.
func set(v reflect.Value, key string, n int64) {
	examples := map[string]string{"requests.holidays": "12-25", "callbacks.allow": "10.0.0.1"}
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("x", int(n)))
	case reflect.Slice:
		v.Set(reflect.ValueOf(slices.Repeat([]string{examples[key]}, int(n))))
	default:
		v.SetInt(n)
	}
}
