package rootaws_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootaws"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const region = "eu-central-1"

// imitation answers as KMS does, by its documentation.
type imitation struct {
	mu     sync.Mutex
	keys   map[string]*key
	unsaid int // requests for a key that is there that are answered as if it were not
	denied bool
	deny   string // this operation
}

type key struct {
	kek     seal.KEK
	state   string
	deleted time.Time
	context map[string]string
}

func (i *imitation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var in struct {
		KeyID               string `json:"KeyId"`
		Plaintext           []byte
		CiphertextBlob      []byte
		EncryptionContext   map[string]string
		PendingWindowInDays int
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, "SerializationException")
		return
	}
	if i.denied || !strings.Contains(r.Header.Get("Authorization"), "/"+region+"/kms/aws4_request") {
		refuse(w, "AccessDeniedException")
		return
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if operation == i.deny {
		refuse(w, "AccessDeniedException")
		return
	}
	if operation == "CreateKey" {
		arn := fmt.Sprintf("arn:aws:kms:%s:111122223333:key/%s", region, uuid.NewString())
		i.keys[arn] = &key{kek: seal.GenerateKEK(), state: "Enabled"}
		say(w, map[string]any{"KeyMetadata": map[string]any{"Arn": arn, "KeyId": arn[len(arn)-36:]}})
		return
	}
	k := i.keys[in.KeyID]
	if i.unsaid > 0 || k == nil {
		i.unsaid--
		refuse(w, "NotFoundException")
		return
	}
	switch operation {
	case "DescribeKey":
		said := map[string]any{"Arn": in.KeyID, "KeyId": in.KeyID[len(in.KeyID)-36:], "KeyState": k.state}
		if !k.deleted.IsZero() {
			said["DeletionDate"] = float64(k.deleted.Unix())
		}
		say(w, map[string]any{"KeyMetadata": said})
	case "ScheduleKeyDeletion":
		if k.state == "PendingDeletion" || k.state == "Updating" {
			refuse(w, "KMSInvalidStateException")
			return
		}
		k.state, k.deleted = "PendingDeletion", time.Now().AddDate(0, 0, in.PendingWindowInDays)
		say(w, map[string]any{"DeletionDate": float64(k.deleted.Unix())})
	default:
		i.crypt(w, operation, in.KeyID, in.Plaintext, in.CiphertextBlob, in.EncryptionContext)
	}
}

func (i *imitation) crypt(w http.ResponseWriter, operation, id string, plain, sealed []byte, bound map[string]string) {
	k := i.keys[id]
	opened, err := k.kek.Decrypt(sealed)
	switch {
	case k.state == "Disabled":
		refuse(w, "DisabledException")
	case k.state != "Enabled":
		refuse(w, "KMSInvalidStateException")
	case operation == "Encrypt":
		k.context = bound
		say(w, map[string]any{"KeyId": id, "CiphertextBlob": k.kek.Encrypt(plain)})
	case i.another(id, sealed):
		refuse(w, "IncorrectKeyException")
	case err != nil || fmt.Sprint(bound) != fmt.Sprint(k.context):
		refuse(w, "InvalidCiphertextException")
	default:
		say(w, map[string]any{"KeyId": id, "Plaintext": opened})
	}
}

// another reports whether it is another key that sealed is under.
func (i *imitation) another(id string, sealed []byte) bool {
	for other, k := range i.keys {
		if _, err := k.kek.Decrypt(sealed); other != id && err == nil {
			return true
		}
	}
	return false
}

func refuse(w http.ResponseWriter, kind string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"__type": kind, "message": "by the imitation"})
}

func say(w http.ResponseWriter, what map[string]any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(what)
}

func start(t *testing.T) (*imitation, func() *rootaws.KMS) {
	t.Helper()
	i := &imitation{keys: map[string]*key{}}
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	client := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.DisableKeepAlives = true })
	return i, func() *rootaws.KMS {
		k, err := rootaws.New(t.Context(), rootaws.Config{Region: region, Patience: time.Second, Options: []func(*config.LoadOptions) error{
			config.WithBaseEndpoint(s.URL), config.WithHTTPClient(client), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
			config.WithCredentialsProvider(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
			})),
		}})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
}

// TestAKeyThatWrapsNothingIsDestroyed: the policy lets keys be made and not used.
func TestAKeyThatWrapsNothingIsDestroyed(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	i.deny = "Encrypt"
	if _, err := open().Wrap(t.Context(), make([]byte, 32)); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("wrapped: %v", err)
	}
	for arn, k := range i.keys {
		if k.state != "PendingDeletion" {
			t.Errorf("%s is %s", arn, k.state)
		}
	}
	if len(i.keys) != 1 {
		t.Errorf("%d keys were made", len(i.keys))
	}
}

func TestKMSIsARoot(t *testing.T) {
	t.Parallel()
	_, open := start(t)
	sealtest.TestRoot(t, func(*testing.T) seal.Root { return open() })
}

// TestWhatKMSDoesNotSayIsNoKeyThatIsGone has KMS not say what was asked, in each
// way that it has.
func TestWhatKMSDoesNotSayIsNoKeyThatIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(*imitation, *key){
		"denied":   func(i *imitation, _ *key) { i.denied = true },
		"disabled": func(_ *imitation, k *key) { k.state = "Disabled" },
		"busy":     func(_ *imitation, k *key) { k.state = "Updating" },
	} {
		i, open := start(t)
		w := wrap(t, open())
		c(i, i.keys[w.Key])
		if _, err := open().Unwrap(t.Context(), w); err == nil || errors.Is(err, seal.ErrRootKey) || errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: unwrap: %v", name, err)
		}
		if name == "disabled" {
			continue // which can be deleted
		}
		if _, err := open().Destroy(t.Context(), w.Key); err == nil {
			t.Errorf("%s: it says that the key is destroyed", name)
		}
	}
}

func wrap(t *testing.T, k *rootaws.KMS) seal.Wrapped {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	w, err := k.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestANewKeyIsAskedForAgain: KMS is consistent only after a moment.
func TestANewKeyIsAskedForAgain(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	i.unsaid = 2
	w := wrap(t, open())
	i.unsaid = 2
	if _, err := open().Unwrap(t.Context(), w); err != nil {
		t.Errorf("unwrap: %v", err)
	}
	i.unsaid = 2
	gone, err := open().Destroy(t.Context(), w.Key)
	if want := time.Now().AddDate(0, 0, 7); err != nil || gone.Before(want.Add(-time.Minute)) || gone.After(want.Add(time.Minute)) {
		t.Errorf("destroy: %s, %v; want %s", gone, err, want)
	}
	i.keys[w.Key].state = "Enabled" // as who cancels the deletion does
	i.unsaid = 1000
	if _, err := open().Unwrap(t.Context(), w); !errors.Is(err, seal.ErrRootKey) {
		t.Errorf("a key that is never known: %v", err)
	}
}

func TestOtherRegionsAreOtherRoots(t *testing.T) {
	t.Parallel()
	_, open := start(t)
	w := wrap(t, open())
	w.Key = strings.Replace(w.Key, region, "us-east-1", 1)
	if _, err := open().Unwrap(t.Context(), w); !errors.Is(err, seal.ErrRootKey) {
		t.Errorf("unwrap: %v", err)
	}
	if _, err := open().Destroy(t.Context(), w.Key); err == nil {
		t.Error("it says that another region's key is destroyed")
	}
	if _, err := rootaws.New(t.Context(), rootaws.Config{}); err == nil {
		t.Error("no region, no error")
	}
}

// TestWrappedElsewhereDoesNotOpen: the encryption context is looked at.
func TestWrappedElsewhereDoesNotOpen(t *testing.T) {
	t.Parallel()
	i, open := start(t)
	w := wrap(t, open())
	i.keys[w.Key].context = map[string]string{"rescind": "backup"}
	if got, err := open().Unwrap(t.Context(), w); !errors.Is(err, seal.ErrSealed) || !bytes.Equal(got, nil) {
		t.Errorf("%x, %v", got, err)
	}
}
