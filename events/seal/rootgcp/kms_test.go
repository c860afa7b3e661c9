package rootgcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootgcp"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cryptoKey = "projects/acme/locations/europe-west3/keyRings/rescind/cryptoKeys/keyring"

// imitation answers as Cloud KMS does, by its documentation.
type imitation struct {
	mu       sync.Mutex
	versions map[string]*version
	purpose  string
	down     int  // status of every answer, if there is one
	flips    bool // a bit of the answers
	slow     int  // how often a new version is still being generated
	denied   bool // the role lets versions be made and not used
}

type version struct {
	kek   seal.KEK
	state string
	gone  time.Time
	data  string
}

type body struct {
	Plaintext  []byte `json:"plaintext"`
	Ciphertext []byte `json:"ciphertext"`
	Data       []byte `json:"additionalAuthenticatedData"`
	PlainCRC   string `json:"plaintextCrc32c"`
	SealedCRC  string `json:"ciphertextCrc32c"`
	DataCRC    string `json:"additionalAuthenticatedDataCrc32c"`
}

func (i *imitation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var in body
	_ = json.NewDecoder(r.Body).Decode(&in)
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	name, do, _ := strings.Cut(path, ":")
	v := i.versions[name]
	switch {
	case i.down != 0:
		refuse(w, i.down, "UNAVAILABLE")
	case r.Method == http.MethodGet && path == cryptoKey:
		say(w, map[string]any{"name": cryptoKey, "purpose": i.purpose, "destroyScheduledDuration": "86400s"})
	case r.Method == http.MethodPost && path == cryptoKey+"/cryptoKeyVersions":
		i.make(w)
	case path == cryptoKey+":decrypt":
		i.decrypt(w, in)
	case v == nil:
		refuse(w, http.StatusNotFound, "NOT_FOUND")
	case r.Method == http.MethodGet:
		i.say(w, name)
	case do == "encrypt" && i.denied:
		refuse(w, http.StatusForbidden, "PERMISSION_DENIED")
	case do == "encrypt" && v.state == "ENABLED":
		i.encrypt(w, name, in)
	case do == "destroy" && v.gone.IsZero():
		v.state, v.gone = "DESTROY_SCHEDULED", time.Now().Add(24*time.Hour)
		i.say(w, name)
	default:
		refuse(w, http.StatusBadRequest, "FAILED_PRECONDITION")
	}
}

func (i *imitation) make(w http.ResponseWriter) {
	name := fmt.Sprintf("%s/cryptoKeyVersions/%d", cryptoKey, len(i.versions)+1)
	i.versions[name] = &version{kek: seal.GenerateKEK(), state: "PENDING_GENERATION"}
	i.say(w, name)
}

func (i *imitation) say(w http.ResponseWriter, name string) {
	v := i.versions[name]
	if i.slow--; i.slow < 0 && v.state == "PENDING_GENERATION" {
		v.state = "ENABLED"
	}
	said := map[string]any{"name": name, "state": v.state}
	switch v.state {
	case "DESTROY_SCHEDULED":
		said["destroyTime"] = v.gone.UTC().Format(time.RFC3339Nano)
	case "DESTROYED":
		said["destroyEventTime"] = v.gone.UTC().Format(time.RFC3339Nano)
	}
	say(w, said)
}

func (i *imitation) encrypt(w http.ResponseWriter, name string, in body) {
	v := i.versions[name]
	v.data = string(in.Data)
	out := v.kek.Encrypt(in.Plaintext)
	crc := sum(out)
	if i.flips {
		out[0] ^= 1
	}
	say(w, map[string]any{
		"name": name, "ciphertext": out, "ciphertextCrc32c": crc, "verifiedPlaintextCrc32c": in.PlainCRC == sum(in.Plaintext),
		"verifiedAdditionalAuthenticatedDataCrc32c": in.DataCRC == sum(in.Data),
	})
}

func (i *imitation) decrypt(w http.ResponseWriter, in body) {
	for _, v := range i.versions {
		plain, err := v.kek.Decrypt(in.Ciphertext)
		if err != nil || v.data != string(in.Data) {
			continue
		}
		if v.state != "ENABLED" || in.SealedCRC != sum(in.Ciphertext) || in.DataCRC != sum(in.Data) {
			refuse(w, http.StatusBadRequest, "FAILED_PRECONDITION")
			return
		}
		crc := sum(plain)
		if i.flips {
			plain[0] ^= 1
		}
		say(w, map[string]any{"plaintext": plain, "plaintextCrc32c": crc, "usedPrimary": false})
		return
	}
	refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT")
}

func sum(b []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))), 10)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	say(w, map[string]any{"error": map[string]any{"code": status, "status": code, "message": "by the imitation"}})
}

func say(w http.ResponseWriter, what map[string]any) { _ = json.NewEncoder(w).Encode(what) }

func start(t *testing.T) (*imitation, func() *rootgcp.KMS) {
	t.Helper()
	i := &imitation{versions: map[string]*version{}, purpose: "ENCRYPT_DECRYPT"}
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return i, func() *rootgcp.KMS {
		k, err := rootgcp.New(t.Context(), rootgcp.Config{Key: cryptoKey, URL: s.URL, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
}

// TestAVersionThatWrapsNothingIsDestroyed: the role lets versions be made and not
// used.
func TestAVersionThatWrapsNothingIsDestroyed(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	i.denied = true
	if _, err := open().Wrap(t.Context(), secret); err == nil || !strings.Contains(err.Error(), "PERMISSION_DENIED") {
		t.Errorf("wrapped: %v", err)
	}
	for name, v := range i.versions {
		if v.state != "DESTROY_SCHEDULED" {
			t.Errorf("%s is %s", name, v.state)
		}
	}
	if len(i.versions) != 1 {
		t.Errorf("%d versions were made", len(i.versions))
	}
}

func TestKMSIsARoot(t *testing.T) {
	t.Parallel()
	_, open := start(t)
	sealtest.TestRoot(t, func(*testing.T) seal.Root { return open() })
}

var secret = []byte("0123456789abcdef0123456789abcdef")

// TestWhatKMSDoesNotSayIsNoKeyThatIsGone has Cloud KMS not say what was asked, in
// each way that it has.
func TestWhatKMSDoesNotSayIsNoKeyThatIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(*imitation, *version){
		"denied":   func(i *imitation, _ *version) { i.down = http.StatusForbidden },
		"absent":   func(i *imitation, _ *version) { i.down = http.StatusNotFound },
		"disabled": func(_ *imitation, v *version) { v.state = "DISABLED" },
	} {
		i, open := start(t)
		k := open()
		w, err := k.Wrap(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		c(i, i.versions[w.Key])
		if _, err := k.Unwrap(t.Context(), w); err == nil || errors.Is(err, seal.ErrRootKey) || errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: unwrap: %v", name, err)
		}
		if i.down == 0 {
			continue
		}
		if _, err := k.Destroy(t.Context(), w.Key); err == nil {
			t.Errorf("%s: it says that the version is destroyed", name)
		}
	}
}

func TestE07AVersionThatIsDestroyed(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	k := open()
	w, err := k.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour).UTC()
	i.versions[w.Key].state, i.versions[w.Key].gone = "DESTROYED", at
	if gone, err := k.Destroy(t.Context(), w.Key); err != nil || !gone.Equal(at) {
		t.Errorf("gone at %s, %v; want %s", gone, err, at)
	}
	if _, err := k.Unwrap(t.Context(), w); !errors.Is(err, seal.ErrRootKey) {
		t.Errorf("unwrap: %v", err)
	}
}

// TestARefusalToDestroyIsNoDestruction: the version stays.
func TestARefusalToDestroyIsNoDestruction(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	k := open()
	w, err := k.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	i.versions[w.Key].gone = time.Now() // so that the imitation refuses, with the version as it is
	if gone, err := k.Destroy(t.Context(), w.Key); err == nil || !gone.IsZero() {
		t.Errorf("gone at %s, %v", gone, err)
	}
}

// TestAnswersThatWereChangedAreNotBelieved: a secret that was changed on its
// way would make a keyring that never opens.
func TestAnswersThatWereChangedAreNotBelieved(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	k := open()
	w, err := k.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	i.flips = true
	if got, err := k.Unwrap(t.Context(), w); err == nil || got != nil {
		t.Errorf("unwrap: %x, %v", got, err)
	}
	if _, err := k.Wrap(t.Context(), secret); err == nil {
		t.Error("wrap: no error")
	}
}

func TestAVersionIsWaitedFor(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	i.slow = 2
	if _, err := open().Wrap(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	for _, key := range []string{"", "keyring", cryptoKey + "/cryptoKeyVersions/1", cryptoKey + "?x"} {
		if _, err := rootgcp.New(t.Context(), rootgcp.Config{Key: key, Client: http.DefaultClient}); err == nil {
			t.Errorf("%q: no error", key)
		}
	}
	if d, err := open().Delay(); err != nil || d != 24*time.Hour {
		t.Errorf("delay %s, %v", d, err)
	}
	i.purpose = "ASYMMETRIC_SIGN"
	s := httptest.NewServer(i)
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if _, err := rootgcp.New(t.Context(), rootgcp.Config{Key: cryptoKey, URL: s.URL, Client: client}); err == nil || !strings.Contains(err.Error(), "ENCRYPT_DECRYPT") {
		t.Errorf("a key that signs: %v", err)
	}
}
