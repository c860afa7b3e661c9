package query

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

const (
	cursorVersion = 1
	cursorBytes   = 1 + 8 + 8
)

// A cursor is a version, the first 8 bytes of a hash of the query, and the
// place to go on behind. It grants nothing: what the caller may see is judged
// again each time, and a forged one only begins elsewhere.

// newCursor is where the answer to query goes on behind at.
func newCursor(query any, at uint64) (string, error) {
	sum, err := queryHash(query)
	if err != nil {
		return "", err
	}
	b := append(make([]byte, 0, cursorBytes), cursorVersion)
	b = append(b, sum[:8]...)
	b = binary.BigEndian.AppendUint64(b, at)
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// parseCursor is the place that newCursor wrote for the same query; nil where
// there is no cursor.
func parseCursor(query any, s string) (*uint64, error) {
	if s == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != cursorBytes || b[0] != cursorVersion {
		return nil, errCursor
	}
	sum, err := queryHash(query)
	if err != nil {
		return nil, err
	}
	if [8]byte(b[1:9]) != [8]byte(sum[:8]) {
		return nil, errCursor
	}
	at := binary.BigEndian.Uint64(b[9:])
	return &at, nil
}

func queryHash(query any) ([sha256.Size]byte, error) {
	b, err := json.Marshal(query)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("cursor: %w", err)
	}
	return sha256.Sum256(b), nil
}
