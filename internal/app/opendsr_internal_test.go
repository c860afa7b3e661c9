package app

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/config"
)

func put(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOpenDSRCertificate: which certificate signs, and when none does.
func TestOpenDSRCertificate(t *testing.T) {
	t.Parallel()
	cert, key, err := selfSigned("dsr.example")
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"api.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	suits := [2]string{put(t, "cert", cert), put(t, "key", key)}
	not := [2]string{
		put(t, "cert", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), put(t, "key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	}
	for name, c := range map[string]struct {
		profile       string
		http, opendsr [2]string
		domain, want  string // want "" for none, "error" for one
	}{
		"dev, of its own":                {config.Dev, [2]string{}, [2]string{}, "", "localhost"},
		"the API's":                      {config.Production, suits, [2]string{}, "", "dsr.example"},
		"one that does not suit":         {config.Production, not, [2]string{}, "", ""},
		"of its own":                     {config.Production, not, suits, "", "dsr.example"},
		"one that does not suit, asked":  {config.Production, suits, not, "", "error"},
		"for another domain, asked":      {config.Production, not, suits, "other.example", "error"},
		"one that is not there":          {config.Production, not, [2]string{"/none", "/none"}, "", "error"},
		"production, without any at all": {config.Production, [2]string{}, [2]string{}, "", ""},
	} {
		a := &app{log: slog.New(slog.DiscardHandler)}
		a.cfg = config.Config{
			Profile: c.profile, HTTP: config.HTTP{Addr: "127.0.0.1:8080", Cert: c.http[0], Key: c.http[1]},
			OpenDSR: config.OpenDSR{Cert: c.opendsr[0], Key: c.opendsr[1], Domain: c.domain},
		}
		got := ""
		s, err := a.openDSR()
		switch {
		case err != nil:
			got = "error"
		case s != nil:
			got = s.Domain()
		}
		if got != c.want {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
	}
}
