package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/strictjson"
)

// readBody is the whole body, at most events.MaxMessageBytes. A body that was
// cut off is an error, however well what arrived may parse.
func readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	if r.ContentLength > events.MaxMessageBytes {
		return nil, errTooLarge
	}
	b, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, events.MaxMessageBytes))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return nil, errTooLarge
	case err != nil:
		return nil, badBody("it was cut off after %d bytes", len(b))
	default:
		return b, nil
	}
}

// readJSON reads the body into v. It refuses members that v does not know, so
// that a misspelt one is not taken for one left out, and what follows the
// value.
func readJSON(c echo.Context, v any) error {
	media, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
	if err != nil || media != echo.MIMEApplicationJSON {
		return &problemError{KindContentType, http.StatusUnsupportedMediaType, "content type", "want " + echo.MIMEApplicationJSON, ""}
	}
	b, err := readBody(c)
	if err != nil {
		return err
	}
	return decodeJSON(b, v)
}

// decodeJSON is what readJSON does with a body.
func decodeJSON(b []byte, v any) error {
	shape := strictjson.Check(b, strictjson.Ours)
	if err := strict(shape); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return describe(err)
	}
	if shape != nil {
		return describe(shape)
	}
	return nil
}

// strict is a fault of a document as a problem, and nil where err is none.
func strict(err error) error {
	var f *strictjson.Fault
	switch {
	case !errors.As(err, &f):
		return nil
	case f.Member == "":
		return badBody("%s", f.What)
	default:
		return invalid(fmt.Sprintf("%.40s", f.Member), "%s", f.What)
	}
}

// describe is a JSON error without any value of the input in it.
func describe(err error) error {
	var shape *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &shape):
		return invalid(shape.Field, "want %s", jsonName(shape.Type))
	case errors.As(err, &syntax):
		return badBody("JSON syntax error at byte %d", syntax.Offset)
	case errors.Is(err, io.EOF):
		return badBody("it is empty: want a JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badBody("the JSON value is not complete")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return invalid(fmt.Sprintf("%.40s", name), "there is no such member")
	}
	return badBody("a member has the wrong shape")
}

func jsonName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "an object"
	case reflect.Slice:
		return "an array"
	default:
		return "a number"
	}
}

// Names is a list of names; in JSON a bare string stands for a list of one.
type Names []string

// UnmarshalJSON reads a string or an array of strings.
func (n *Names) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*n = make(Names, 1)
		return json.Unmarshal(b, &(*n)[0])
	}
	return json.Unmarshal(b, (*[]string)(n))
}

// check collects the first fault of a body's members.
type check struct{ err error }

func (k *check) that(ok bool, member, format string, args ...any) {
	if k.err == nil && !ok {
		k.err = invalid(member, format, args...)
	}
}

// text checks the length of a string that may be left out.
func (k *check) text(member, s string, limit int) {
	k.that(len(s) <= limit, member, "%d bytes: the limit is %d", len(s), limit)
}

// oneOf checks a string against a list.
func oneOf[T ~string](k *check, member string, s T, list []T) {
	names := make([]string, len(list))
	found := false
	for i, v := range list {
		names[i] = string(v)
		found = found || v == s
	}
	k.that(found, member, "want one of %s", strings.Join(names, ", "))
}
