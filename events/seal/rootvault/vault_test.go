package rootvault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootvault"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// imitation answers as the transit engine of Vault does, by its documentation.
type imitation struct {
	mu      sync.Mutex
	keys    map[string]*transitKey
	sealed  bool // 503, as while an operator has not unsealed it
	unmount bool
	denied  bool   // the policy lets keys be made and not used
	before  string // what stands before it answers 404 with, instead of it
}

type transitKey struct {
	kek       seal.KEK
	deletable bool
}

const token = "s.the-token"

func (i *imitation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	path, ours := strings.CutPrefix(r.URL.Path, "/v1/keyring/transit/")
	switch {
	case i.before != "":
		http.Error(w, i.before, http.StatusNotFound)
	case i.sealed:
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
	case r.Header.Get("X-Vault-Token") != token:
		refuse(w, http.StatusForbidden, "permission denied")
	case !ours || i.unmount:
		refuse(w, http.StatusNotFound, "no handler for route "+path)
	default:
		var in map[string]any
		_ = json.NewDecoder(r.Body).Decode(&in)
		i.serve(w, r.Method, strings.Split(path, "/"), in)
	}
}

func refuse(w http.ResponseWriter, status int, reasons ...string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": append([]string{}, reasons...)})
}

func answer(w http.ResponseWriter, data map[string]any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func (i *imitation) serve(w http.ResponseWriter, method string, path []string, in map[string]any) {
	name := path[1]
	k := i.keys[name]
	switch what := method + " " + path[0]; {
	case what == "POST keys" && len(path) == 2:
		if k == nil {
			i.keys[name] = &transitKey{kek: seal.GenerateKEK()}
		}
		w.WriteHeader(http.StatusNoContent)
	case what == "GET keys" && k == nil:
		refuse(w, http.StatusNotFound)
	case what == "GET keys":
		answer(w, map[string]any{"name": name})
	case k == nil:
		refuse(w, http.StatusBadRequest, "encryption key not found")
	case what == "POST keys":
		k.deletable, _ = in["deletion_allowed"].(bool)
		w.WriteHeader(http.StatusNoContent)
	case what == "DELETE keys" && !k.deletable:
		refuse(w, http.StatusBadRequest, "deletion is not allowed for this key")
	case what == "DELETE keys":
		delete(i.keys, name)
		w.WriteHeader(http.StatusNoContent)
	case what == "POST encrypt" && i.denied:
		refuse(w, http.StatusForbidden, "permission denied")
	case what == "POST encrypt":
		plain, _ := base64.StdEncoding.DecodeString(in["plaintext"].(string))
		answer(w, map[string]any{"ciphertext": "vault:v1:" + base64.RawURLEncoding.EncodeToString(k.kek.Encrypt(plain)), "key_version": 1})
	case what == "POST decrypt":
		k.decrypt(w, in["ciphertext"].(string))
	default:
		refuse(w, http.StatusMethodNotAllowed)
	}
}

func (k *transitKey) decrypt(w http.ResponseWriter, ciphertext string) {
	text, prefixed := strings.CutPrefix(ciphertext, "vault:v1:")
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	plain, opened := k.kek.Decrypt(b)
	if !prefixed || err != nil || opened != nil {
		refuse(w, http.StatusBadRequest, "cipher: message authentication failed")
		return
	}
	answer(w, map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)})
}

func start(t *testing.T) (*imitation, func() *rootvault.Vault) {
	t.Helper()
	i := &imitation{keys: map[string]*transitKey{}}
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return i, func() *rootvault.Vault {
		v, err := rootvault.New(rootvault.Config{URL: s.URL + "/keyring/transit/", Token: func() (string, error) { return token, nil }, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestVaultIsARoot(t *testing.T) {
	t.Parallel()
	_, open := start(t)
	sealtest.TestRoot(t, func(*testing.T) seal.Root { return open() })
}

// TestE07ADestroyedKeyDoesNotComeBack: Vault holds no version of it, and a key that
// somebody makes under its name opens nothing of what it wrapped.
func TestE07ADestroyedKeyDoesNotComeBack(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	w, err := open().Wrap(t.Context(), bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open().Destroy(t.Context(), w.Key); err != nil {
		t.Fatal(err)
	}
	if len(i.keys) != 0 {
		t.Errorf("%d keys are left", len(i.keys))
	}
	if _, err := open().Unwrap(t.Context(), w); !errors.Is(err, seal.ErrRootKey) {
		t.Errorf("destroyed: %v", err)
	}
	i.keys[w.Key] = &transitKey{kek: seal.GenerateKEK()}
	if plain, err := open().Unwrap(t.Context(), w); err == nil || plain != nil {
		t.Errorf("made again: %q, %v", plain, err)
	}
}

// TestAServerThatCannotSayIsNoKeyThatIsGone has the server not answer what was
// asked, in each way that it has.
func TestAServerThatCannotSayIsNoKeyThatIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(*imitation){
		"sealed":    func(i *imitation) { i.sealed = true },
		"unmounted": func(i *imitation) { i.unmount = true },
		"a page":    func(i *imitation) { i.before = "<html>default backend - 404</html>" },
		"a gateway": func(i *imitation) { i.before = `{"message":"no Route matched"}` },
		"null":      func(i *imitation) { i.before = `{"errors":null}` },
	} {
		i, open := start(t)
		w, err := open().Wrap(t.Context(), bytes.Repeat([]byte("k"), 32))
		if err != nil {
			t.Fatal(err)
		}
		c(i)
		if _, err := open().Unwrap(t.Context(), w); err == nil || errors.Is(err, seal.ErrRootKey) || errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: unwrap: %v", name, err)
		}
		if _, err := open().Destroy(t.Context(), w.Key); err == nil {
			t.Errorf("%s: it says that the key is destroyed", name)
		}
		if _, err := open().Wrap(t.Context(), make([]byte, 32)); err == nil {
			t.Errorf("%s: it says that there is a key", name)
		}
	}
}

func TestAKeyThatWrapsNothingIsDestroyed(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	i.denied = true
	if _, err := open().Wrap(t.Context(), make([]byte, 32)); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("wrapped: %v", err)
	}
	if len(i.keys) != 0 {
		t.Errorf("%d keys are left", len(i.keys))
	}
}

func TestTheTokenIsReadAnewAndNotTold(t *testing.T) {
	t.Parallel()
	i, _ := start(t)
	s := httptest.NewServer(i)
	defer s.Close()
	now := "s.the-old-token"
	v, err := rootvault.New(rootvault.Config{
		URL: s.URL + "/keyring/transit", Token: func() (string, error) { return now, nil },
		Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Wrap(t.Context(), make([]byte, 32))
	if err == nil || errors.Is(err, seal.ErrRootKey) || strings.Contains(err.Error(), now) {
		t.Errorf("with a token that has ended: %v", err)
	}
	now = token
	if _, err := v.Wrap(t.Context(), make([]byte, 32)); err != nil {
		t.Errorf("with the new token: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	some := func() (string, error) { return token, nil }
	for _, c := range []rootvault.Config{
		{Token: some}, {URL: "https://vault:8200", Token: some}, {URL: "vault:8200/transit", Token: some},
		{URL: "https://user:pass@vault/transit", Token: some}, {URL: "https://vault/transit"},
	} {
		if _, err := rootvault.New(c); err == nil {
			t.Errorf("%+v: no error", c.URL)
		}
	}
}
