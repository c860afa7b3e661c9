package dsr

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/rescindhq/rescind/internal/strictjson"
)

// decode reads one JSON object, and refuses what two readers could take for two
// things. What is under extensions is others'.
func decode(body []byte, v any) error {
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return fault("body", "want a JSON object")
	}
	if err := strictjson.Check(body, func(in []string) bool { return !slices.Contains(in, "extensions") }); err != nil {
		return shape(err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	d.UseNumber()
	return shape(d.Decode(v))
}

// shape is an error of encoding/json without any value of the input.
func shape(err error) error {
	var strict *strictjson.Fault
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict):
		return fault("body", "%s", strict.Error())
	case errors.As(err, &kind):
		return fault(kind.Field, "it has another shape")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return fault("body", "a member is not known")
	default:
		return fault("body", "want a JSON object")
	}
}
