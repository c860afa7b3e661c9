package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// MaxDepth is more than any body of ours is nested, and as much as a token may be.
const MaxDepth = 32

// What is wrong with a document.
const (
	Twice   = "it is there twice"                               // Member is
	Foreign = "there is no such member: ours are in lower case" // Member is none of ours
	Deep    = "it is nested deeper than 32"
	Behind  = "something follows the JSON value"
)

// Fault is why a document is refused that is JSON.
type Fault struct {
	What   string
	Member string // "" where it is about none
}

func (f *Fault) Error() string {
	if f.Member == "" {
		return f.What
	}
	return "a member: " + f.What
}

// Names says whose the names of an object are: ours, or anybody's. It is told the
// names of the members that the object is in.
type Names func(in []string) (ours bool)

// Ours is that all are.
func Ours([]string) bool { return true }

// Others is that none are.
func Others([]string) bool { return false }

// Check refuses what two readers could take for two things.
func Check(doc []byte, names Names) error {
	w := &walk{json.NewDecoder(bytes.NewReader(doc)), names, nil}
	w.d.UseNumber()
	if err := w.value(0); err != nil {
		return err
	}
	if _, err := w.d.Token(); !errors.Is(err, io.EOF) {
		return &Fault{What: Behind}
	}
	return nil
}

type walk struct {
	d     *json.Decoder
	names Names
	in    []string
}

func (w *walk) value(depth int) error {
	t, err := w.d.Token()
	if err != nil {
		return err
	}
	open, nested := t.(json.Delim)
	switch {
	case !nested:
		return nil
	case depth == MaxDepth:
		return &Fault{What: Deep}
	case open == '{':
		err = w.object(depth)
	default:
		err = w.array(depth)
	}
	if err == nil {
		_, err = w.d.Token() // the end
	}
	return err
}

func (w *walk) array(depth int) error {
	for w.d.More() {
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) object(depth int) error {
	seen, ours := map[string]bool{}, w.names(w.in)
	for w.d.More() {
		t, err := w.d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		switch {
		case ours && !Plain(name):
			return &Fault{Foreign, name}
		case seen[name]:
			return &Fault{Twice, name}
		}
		seen[name] = true
		w.in = append(w.in, name)
		if err := w.value(depth + 1); err != nil {
			return err
		}
		w.in = w.in[:len(w.in)-1]
	}
	return nil
}

// Plain reports whether encoding/json takes name for no other name of this form.
func Plain(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' })
}
