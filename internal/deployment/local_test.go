package deployment_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/rescindhq/rescind/internal/deployment"
)

// TestWhatIsTheOperatorsIsKept: profile production wants TLS to NATS, whose
// certificate is the operator's. What they write beside nats.conf is part of it,
// and is there after another run, which makes nats.conf anew.
func TestWhatIsTheOperatorsIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := deployment.Config{Secrets: filepath.Join(dir, "secrets"), NATS: filepath.Join(dir, "nats"), Database: "rescind"}
	made, err := deployment.Init(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := server.ProcessConfigFile(made.NATS); err != nil || o.TLSConfig != nil {
		t.Fatalf("as it is made: %v, %v", o, err)
	}
	cert, key := certificate(t, dir)
	local := "listen: 0.0.0.0:4223\ntls {\n  cert_file: " + cert + "\n  key_file: " + key + "\n}\n"
	if err := os.WriteFile(filepath.Join(cfg.NATS, "local.conf"), []byte(local), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := deployment.Init(cfg); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(made.NATS)
	if err != nil {
		t.Fatal(err)
	}
	if o.TLSConfig == nil || o.Port != 4223 || len(o.TrustedOperators) != 1 {
		t.Errorf("TLS %v, port %d, %d operators", o.TLSConfig, o.Port, len(o.TrustedOperators))
	}
}

func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"nats"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
