package rootvault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events/seal"
)

// Config is how to reach the engine.
type Config struct {
	// URL is the address of the server and the mount of the engine:
	// https://vault.example:8200/transit. Required.
	URL string

	// Token reads the token. It is called for each request. Required.
	Token func() (string, error)

	// Client sends requests. Default: one that waits 10 s for an answer.
	Client *http.Client
}

// Vault is a root whose keys are in a transit engine.
type Vault struct {
	mount  string // URL of the API under which the engine is, without a slash at the end
	token  func() (string, error)
	client *http.Client
}

var _ seal.Root = (*Vault)(nil)

const requestWait = 10 * time.Second

// New is the root at cfg. It asks nothing yet.
func New(cfg Config) (*Vault, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") == "" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("vault: want https://host:port/mount")
	}
	if cfg.Token == nil {
		return nil, errors.New("vault: the token is missing")
	}
	v := &Vault{mount: u.Scheme + "://" + u.Host + "/v1/" + strings.Trim(u.Path, "/"), token: cfg.Token, client: cfg.Client}
	if v.client == nil {
		v.client = &http.Client{Timeout: requestWait}
	}
	return v, nil
}

// Wrap implements seal.Root.
func (v *Vault) Wrap(ctx context.Context, secret []byte) (seal.Wrapped, error) {
	var random [16]byte
	rand.Read(random[:])
	name := prefix + hex.EncodeToString(random[:])
	if err := v.call(ctx, http.MethodPost, "keys/"+name, map[string]any{"type": "aes256-gcm96"}, nil); err != nil {
		return seal.Wrapped{}, fmt.Errorf("vault: make a key: %w", err)
	}
	var made struct{ Ciphertext string }
	plain := map[string]any{"plaintext": base64.StdEncoding.EncodeToString(secret)}
	if err := v.call(ctx, http.MethodPost, "encrypt/"+name, plain, &made); err != nil {
		_, left := v.Destroy(context.WithoutCancel(ctx), name)
		return seal.Wrapped{}, fmt.Errorf("vault: wrap: %w", errors.Join(err, left))
	}
	return seal.Wrapped{Key: name, Secret: []byte(made.Ciphertext)}, nil
}

const prefix = "rescind-"

// valid keeps other paths out of reach of a name that somebody changed.
func valid(key string) bool {
	b, err := hex.DecodeString(strings.TrimPrefix(key, prefix))
	return err == nil && len(b) == 16 && strings.HasPrefix(key, prefix)
}

// Unwrap implements seal.Root.
func (v *Vault) Unwrap(ctx context.Context, w seal.Wrapped) ([]byte, error) {
	if !valid(w.Key) {
		return nil, fmt.Errorf("vault: not the name of one of its keys: %w", seal.ErrRootKey)
	}
	var opened struct{ Plaintext []byte }
	err := v.call(ctx, http.MethodPost, "decrypt/"+w.Key, map[string]any{"ciphertext": string(w.Secret)}, &opened)
	if refused(err) { // it does not say in so many words why
		if err := v.there(ctx, w.Key); err != nil {
			return nil, fmt.Errorf("vault: key %s: %w", w.Key, err)
		}
		return nil, fmt.Errorf("vault: key %s: %w", w.Key, seal.ErrSealed)
	}
	if err != nil {
		return nil, fmt.Errorf("vault: unwrap: %w", err)
	}
	return opened.Plaintext, nil
}

// there is nil where the engine has the key, and wraps seal.ErrRootKey where it
// says that it has not.
func (v *Vault) there(ctx context.Context, key string) error {
	err := v.call(ctx, http.MethodGet, "keys/"+key, nil, nil)
	var a *answerError
	if errors.As(err, &a) && a.status == http.StatusNotFound && a.reasons != nil && len(a.reasons) == 0 { // with a reason, it is the mount that is not there
		return seal.ErrRootKey
	}
	return err
}

// Destroy implements seal.Root.
func (v *Vault) Destroy(ctx context.Context, key string) (gone time.Time, err error) {
	if !valid(key) {
		return gone, fmt.Errorf("vault: not the name of one of its keys: %w", seal.ErrRootKey)
	}
	err = v.call(ctx, http.MethodPost, "keys/"+key+"/config", map[string]any{"deletion_allowed": true}, nil)
	if err == nil {
		err = v.call(ctx, http.MethodDelete, "keys/"+key, nil, nil)
	}
	if err != nil && !refused(err) {
		return gone, fmt.Errorf("vault: destroy key %s: %w", key, err)
	}
	switch left := v.there(ctx, key); {
	case errors.Is(left, seal.ErrRootKey):
		return time.Now(), nil
	case err == nil && left == nil:
		return gone, fmt.Errorf("vault: key %s is there after it was deleted", key)
	default:
		return gone, fmt.Errorf("vault: destroy key %s: %w", key, errors.Join(err, left))
	}
}

// Delay implements seal.Root: what is deleted is gone.
func (v *Vault) Delay() (time.Duration, error) { return 0, nil }

// answerError is an answer that is not the one that was asked for.
type answerError struct {
	status  int
	reasons []string // nil where it is not the server's own: something before it has answered
}

func (e *answerError) Error() string {
	if e.reasons == nil {
		return fmt.Sprintf("status %d, and not from Vault: look at what stands before it", e.status)
	}
	return fmt.Sprintf("status %d: %s", e.status, strings.Join(e.reasons, "; "))
}

// refused reports whether the engine has answered that it cannot do it with what
// it was given.
func refused(err error) bool {
	var a *answerError
	return errors.As(err, &a) && a.reasons != nil && (a.status == http.StatusBadRequest || a.status == http.StatusNotFound)
}

const maxAnswer = 1 << 20

// call asks the engine, and reads the data of its answer into out.
func (v *Vault) call(ctx context.Context, method, path string, in map[string]any, out any) error {
	token, err := v.token()
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, v.mount+"/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", token)
	req.Header.Set("X-Vault-Request", "true")
	res, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	return read(res.StatusCode, text, out)
}

func read(status int, text []byte, out any) error {
	var answer struct {
		Data   json.RawMessage
		Errors []string
	}
	err := json.Unmarshal(text, &answer)
	switch {
	case status >= http.StatusMultipleChoices && err != nil:
		return &answerError{status: status}
	case status >= http.StatusMultipleChoices:
		return &answerError{status, answer.Errors}
	case out == nil:
		return nil
	case err != nil:
		return fmt.Errorf("status %d: %w", status, err)
	}
	return json.Unmarshal(answer.Data, out)
}
