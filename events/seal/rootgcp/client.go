package rootgcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
)

// client speaks REST to Cloud KMS.
type client struct {
	url  string
	http *http.Client
}

// The bodies of encrypt and decrypt. Bytes are in base64, checksums are decimal
// text.
type (
	encrypting struct {
		Plaintext    []byte `json:"plaintext"`
		PlaintextCRC int64  `json:"plaintextCrc32c,string"`
		Data         []byte `json:"additionalAuthenticatedData"`
		DataCRC      int64  `json:"additionalAuthenticatedDataCrc32c,string"`
	}
	encrypted struct {
		Name         string `json:"name"` // of the version that was used
		Ciphertext   []byte `json:"ciphertext"`
		CRC          int64  `json:"ciphertextCrc32c,string"`
		SawPlaintext bool   `json:"verifiedPlaintextCrc32c"`
		SawData      bool   `json:"verifiedAdditionalAuthenticatedDataCrc32c"`
	}
	decrypting struct {
		Ciphertext    []byte `json:"ciphertext"`
		CiphertextCRC int64  `json:"ciphertextCrc32c,string"`
		Data          []byte `json:"additionalAuthenticatedData"`
		DataCRC       int64  `json:"additionalAuthenticatedDataCrc32c,string"`
	}
	decrypted struct {
		Plaintext []byte `json:"plaintext"`
		CRC       int64  `json:"plaintextCrc32c,string"`
	}
)

func sum(b []byte) int64 { return int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))) }

// answerError is an answer that is not the one that was asked for.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string { return fmt.Sprintf("status %d: %.300s", e.status, e.text) }

// refused reports whether Cloud KMS has answered that it cannot do it with what
// it was given.
func refused(err error) bool { return answered(err, http.StatusBadRequest) }

func missing(err error) bool { return answered(err, http.StatusNotFound) }

func answered(err error, status int) bool {
	a, ok := errors.AsType[*answerError](err)
	return ok && a.status == status
}

const maxAnswer = 1 << 20

func (c client) get(ctx context.Context, name string, out any) error {
	return c.call(ctx, http.MethodGet, name, nil, out)
}

func (c client) post(ctx context.Context, name string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, name, body, out)
}

// call asks Cloud KMS, and reads its answer into out.
func (c client) call(ctx context.Context, method, name string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case res.StatusCode >= http.StatusMultipleChoices:
		return &answerError{res.StatusCode, said(text)}
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

// said is the message in an answer that refuses.
func said(text []byte) string {
	var answer struct {
		Error struct{ Status, Message string }
	}
	if json.Unmarshal(text, &answer) != nil || answer.Error.Message == "" {
		return string(text)
	}
	return answer.Error.Status + ": " + answer.Error.Message
}
