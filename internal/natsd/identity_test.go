package natsd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Credentials of before issuers and verifiers had accounts of their own are
// made anew; all others stay what they are.
func TestCredentialsOfAnotherAccountAreReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nats")
	id, err := openIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := map[Role]string{}
	for _, r := range Roles() {
		before[r] = read(t, id.creds[r])
	}
	once := *id
	once.accounts = map[account]nkeys.KeyPair{core: id.accounts[core], issuers: id.accounts[core]}
	old, err := once.newUser(Issuer)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(id.creds[Issuer], old); err != nil {
		t.Fatal(err)
	}
	again, err := openIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Roles() {
		now := read(t, again.creds[r])
		if kept := now == before[r]; kept != (r != Issuer) {
			t.Errorf("%s kept its credentials: %v", r, kept)
		}
		if got, want := accountIn(t, now), public(id.accounts[accountOf(r)]); got != want {
			t.Errorf("%s is in account %s, want %s", r, got, want)
		}
	}
}

func TestCredentialsThatCannotBeReadStopTheStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nats")
	id, err := openIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(id.creds[Verifier], []byte("no credentials"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openIdentity(dir); err == nil {
		t.Error("credentials that are none were handed out")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func accountIn(t *testing.T, creds string) string {
	t.Helper()
	token, err := jwt.ParseDecoratedJWT([]byte(creds))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return claims.IssuerAccount
}
