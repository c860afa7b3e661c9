package dsr

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// maxDepth is more than any request is nested.
const maxDepth = 16

// decode reads one JSON object, and refuses what two readers could take for two
// things: a member that is not known, is there twice, or is written in capitals.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := walk(d, 0, true); err != nil {
		return shape(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault("body", "something follows the JSON object")
	}
	d = json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	d.UseNumber()
	return shape(d.Decode(v))
}

// walk looks for members that are there twice, whatever they are called, and for
// members of ours in capitals. What is under extensions is others'.
func walk(d *json.Decoder, depth int, ours bool) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, nested := t.(json.Delim)
	switch {
	case !nested && depth == 0:
		return fault("body", "want a JSON object")
	case !nested:
		return nil
	case depth == maxDepth:
		return fault("body", "it is nested deeper than %d", maxDepth)
	}
	seen := map[string]bool{}
	for d.More() {
		below := ours
		if open == '{' {
			n, err := name(d, seen, ours)
			if err != nil {
				return err
			}
			below = ours && n != "extensions"
		}
		if err := walk(d, depth+1, below); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end
	return err
}

func name(d *json.Decoder, seen map[string]bool, ours bool) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	n, _ := t.(string)
	switch {
	case seen[n]:
		return "", fault("body", "a member is there twice")
	case ours && n != strings.ToLower(n):
		return "", fault("body", "members are written in lower case")
	}
	seen[n] = true
	return n, nil
}

// shape is an error of encoding/json without any value of the input.
func shape(err error) error {
	var told *Fault
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return told
	case errors.As(err, &kind):
		return fault(kind.Field, "it has another shape")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return fault("body", "a member is not known")
	default:
		return fault("body", "want a JSON object")
	}
}
