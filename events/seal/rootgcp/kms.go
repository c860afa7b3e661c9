package rootgcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2/google"

	"github.com/rescindhq/rescind/events/seal"
)

// Config is how to reach Cloud KMS.
type Config struct {
	// Key is the resource name of the crypto key:
	// projects/P/locations/L/keyRings/R/cryptoKeys/K. Required.
	Key string

	// Client sends requests, with credentials. Default: one with the credentials
	// of the environment (Application Default Credentials), that waits 10 s for
	// an answer.
	Client *http.Client

	// URL is where the API is. Default https://cloudkms.googleapis.com.
	URL string
}

// KMS is a root whose keys are versions of a crypto key.
type KMS struct {
	key    string
	delay  time.Duration
	client client
}

var _ seal.Root = (*KMS)(nil)

const (
	service     = "https://cloudkms.googleapis.com"
	scope       = "https://www.googleapis.com/auth/cloudkms"
	requestWait = 10 * time.Second
	poll        = 200 * time.Millisecond
)

var (
	keyName     = regexp.MustCompile(`^projects/[^/?#]+/locations/[^/?#]+/keyRings/[^/?#]+/cryptoKeys/[^/?#]+$`)
	versionName = regexp.MustCompile(`^/cryptoKeyVersions/[1-9][0-9]{0,17}$`)
)

// New is the root at cfg. It asks Cloud KMS what the crypto key is.
func New(ctx context.Context, cfg Config) (*KMS, error) {
	if !keyName.MatchString(cfg.Key) {
		return nil, errors.New("google kms: want projects/P/locations/L/keyRings/R/cryptoKeys/K")
	}
	if cfg.Client == nil {
		c, err := google.DefaultClient(ctx, scope)
		if err != nil {
			return nil, fmt.Errorf("google kms: %w", err)
		}
		c.Timeout = requestWait
		cfg.Client = c
	}
	if cfg.URL == "" {
		cfg.URL = service
	}
	k := &KMS{key: cfg.Key, client: client{url: cfg.URL + "/v1/", http: cfg.Client}}
	if err := k.look(ctx); err != nil {
		return nil, fmt.Errorf("google kms: crypto key %s: %w", cfg.Key, err)
	}
	return k, nil
}

// look learns how long the crypto key keeps a version that was destroyed.
func (k *KMS) look(ctx context.Context) error {
	var key struct{ Purpose, DestroyScheduledDuration string }
	if err := k.client.get(ctx, k.key, &key); err != nil {
		return err
	}
	if key.Purpose != "ENCRYPT_DECRYPT" {
		return fmt.Errorf("its purpose is %q: make one of purpose ENCRYPT_DECRYPT", key.Purpose)
	}
	var err error
	k.delay, err = time.ParseDuration(key.DestroyScheduledDuration)
	return err
}

// version is what Cloud KMS says of one.
type version struct {
	Name, State      string
	DestroyTime      time.Time // of one that is scheduled to be destroyed
	DestroyEventTime time.Time // of one that is destroyed
}

// gone is from when nobody can have v back, and zero where that is not said.
func (v version) gone() time.Time {
	switch v.State {
	case "DESTROY_SCHEDULED":
		return v.DestroyTime
	case "DESTROYED":
		return v.DestroyEventTime
	default:
		return time.Time{}
	}
}

// Wrap implements seal.Root.
func (k *KMS) Wrap(ctx context.Context, secret []byte) (seal.Wrapped, error) {
	var v version
	if err := k.client.post(ctx, k.key+"/cryptoKeyVersions", struct{}{}, &v); err != nil {
		return seal.Wrapped{}, fmt.Errorf("google kms: make a version: %w", err)
	}
	if err := k.ours(v.Name); err != nil {
		return seal.Wrapped{}, err
	}
	w, err := k.wrapUnder(ctx, v, secret)
	if err != nil { // it costs something, and would do so for ever
		_, left := k.Destroy(context.WithoutCancel(ctx), v.Name)
		err = errors.Join(err, left)
	}
	return w, err
}

func (k *KMS) wrapUnder(ctx context.Context, v version, secret []byte) (seal.Wrapped, error) {
	if err := k.generated(ctx, v); err != nil {
		return seal.Wrapped{}, fmt.Errorf("google kms: make %s: %w", v.Name, err)
	}
	in := encrypting{Plaintext: secret, PlaintextCRC: sum(secret), Data: []byte(v.Name), DataCRC: sum([]byte(v.Name))}
	var out encrypted
	if err := k.client.post(ctx, v.Name+":encrypt", in, &out); err != nil {
		return seal.Wrapped{}, fmt.Errorf("google kms: wrap: %w", err)
	}
	if out.Name != v.Name || !out.SawPlaintext || !out.SawData || out.CRC != sum(out.Ciphertext) {
		return seal.Wrapped{}, fmt.Errorf("google kms: wrap under %s: the request or its answer was changed on the way", v.Name)
	}
	return seal.Wrapped{Key: v.Name, Secret: out.Ciphertext}, nil
}

// generated waits until v can be used: at once, for a key in software.
func (k *KMS) generated(ctx context.Context, v version) error {
	for v.State == "PENDING_GENERATION" {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
		if err := k.client.get(ctx, v.Name, &v); err != nil {
			return err
		}
	}
	if v.State != "ENABLED" {
		return fmt.Errorf("its state is %s", v.State)
	}
	return nil
}

// Unwrap implements seal.Root.
func (k *KMS) Unwrap(ctx context.Context, w seal.Wrapped) ([]byte, error) {
	if err := k.ours(w.Key); err != nil {
		return nil, err
	}
	in := decrypting{Ciphertext: w.Secret, CiphertextCRC: sum(w.Secret), Data: []byte(w.Key), DataCRC: sum([]byte(w.Key))}
	var out decrypted
	err := k.client.post(ctx, k.key+":decrypt", in, &out)
	if refused(err) { // it does not say in so many words why
		return nil, k.closed(ctx, w.Key)
	}
	if err != nil {
		return nil, fmt.Errorf("google kms: unwrap: %w", err)
	}
	if out.CRC != sum(out.Plaintext) {
		return nil, fmt.Errorf("google kms: unwrap under %s: the answer was changed on the way", w.Key)
	}
	return out.Plaintext, nil
}

// closed says why something does not open under a version.
func (k *KMS) closed(ctx context.Context, name string) error {
	v, err := k.state(ctx, name)
	switch {
	case err != nil:
		return fmt.Errorf("google kms: %s: %w", name, err)
	case !v.gone().IsZero():
		return fmt.Errorf("google kms: %s is %s: %w", name, v.State, seal.ErrRootKey)
	case v.State != "ENABLED":
		return fmt.Errorf("google kms: %s is %s", name, v.State)
	default:
		return fmt.Errorf("google kms: %s: %w", name, seal.ErrSealed)
	}
}

// state is what there is of a version: of one that there never was, that it is
// destroyed.
func (k *KMS) state(ctx context.Context, name string) (v version, err error) {
	err = k.client.get(ctx, name, &v)
	if missing(err) {
		if err := k.look(ctx); err != nil { // or it is all of it that is not there
			return v, err
		}
		return version{Name: name, State: "DESTROYED", DestroyEventTime: time.Now()}, nil
	}
	return v, err
}

// Destroy implements seal.Root.
func (k *KMS) Destroy(ctx context.Context, key string) (gone time.Time, err error) {
	if err := k.ours(key); err != nil {
		return gone, err
	}
	err = k.client.post(ctx, key+":destroy", struct{}{}, nil)
	if err != nil && !refused(err) && !missing(err) {
		return gone, fmt.Errorf("google kms: destroy %s: %w", key, err)
	}
	v, asked := k.state(ctx, key)
	if asked != nil || v.gone().IsZero() {
		return gone, fmt.Errorf("google kms: destroy %s: its state is %q: %w", key, v.State, errors.Join(err, asked))
	}
	return v.gone(), nil
}

// Delay implements seal.Root.
func (k *KMS) Delay() (time.Duration, error) { return k.delay, nil }

// ours keeps the versions of other crypto keys and other paths out.
func (k *KMS) ours(key string) error {
	rest, of := strings.CutPrefix(key, k.key)
	if !of || !versionName.MatchString(rest) {
		return fmt.Errorf("google kms: not the name of a version of %s: %w", k.key, seal.ErrRootKey)
	}
	return nil
}
