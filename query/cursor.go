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
	cursorHead    = 1 + 8
)

// A cursor is a version, the first 8 bytes of a hash of the query, and the
// places to go on behind: one, or one in each shard where the answer is of
// several. It grants nothing: what the caller may see is judged again each time,
// and a forged one only begins elsewhere.

// newCursor is where the answer to query goes on behind the places at.
func newCursor(query any, at ...uint64) (string, error) {
	sum, err := queryHash(query)
	if err != nil {
		return "", err
	}
	b := append(make([]byte, 0, cursorHead+8*len(at)), cursorVersion)
	b = append(b, sum[:8]...)
	for _, place := range at {
		b = binary.BigEndian.AppendUint64(b, place)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// parseCursor is the place that newCursor wrote for the same query; nil where
// there is no cursor.
func parseCursor(query any, s string) (*uint64, error) {
	at, err := parseCursors(query, s, 1)
	if err != nil || at == nil {
		return nil, err
	}
	return &at[0], nil
}

// parseCursors is the n places that newCursor wrote for the same query; nil
// where there is no cursor.
func parseCursors(query any, s string, n int) ([]uint64, error) {
	if s == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != cursorHead+8*n || b[0] != cursorVersion {
		return nil, errCursor
	}
	sum, err := queryHash(query)
	if err != nil {
		return nil, err
	}
	if [8]byte(b[1:cursorHead]) != [8]byte(sum[:8]) {
		return nil, errCursor
	}
	at := make([]uint64, n)
	for k := range at {
		at[k] = binary.BigEndian.Uint64(b[cursorHead+8*k:])
	}
	return at, nil
}

func queryHash(query any) ([sha256.Size]byte, error) {
	b, err := json.Marshal(query)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("cursor: %w", err)
	}
	return sha256.Sum256(b), nil
}
