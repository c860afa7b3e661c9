package app

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/query/dsr"
)

// openDSR signs for controllers. It is nil where nobody asked for it and there is no
// certificate that suits.
func (a *app) openDSR() (*dsr.Signer, error) {
	c := a.cfg.OpenDSR
	asked := c.Cert != ""
	if !asked && a.cfg.HTTP.Cert == "" {
		return a.localDSR()
	}
	cert, err := os.ReadFile(cmp.Or(c.Cert, a.cfg.HTTP.Cert))
	if err != nil {
		return nil, fmt.Errorf("opendsr.cert: %w", err)
	}
	key, err := os.ReadFile(cmp.Or(c.Key, a.cfg.HTTP.Key))
	if err != nil {
		return nil, fmt.Errorf("opendsr.key: %w", err)
	}
	s, err := dsr.New(dsr.Config{Certificate: cert, Key: key, Domain: c.Domain, URL: c.URL})
	if err != nil && !asked {
		a.log.Info("opendsr is not spoken: the certificate of the api does not suit", "err", err)
		return nil, nil
	}
	return s, err
}

// localDSR is a signer whose certificate nobody issued, for profile dev.
func (a *app) localDSR() (*dsr.Signer, error) {
	if a.cfg.Profile != config.Dev {
		return nil, nil
	}
	const domain = "localhost"
	cert, key, err := selfSigned(domain)
	if err != nil {
		return nil, fmt.Errorf("opendsr: %w", err)
	}
	addr := a.cfg.HTTP.Addr
	if a.listener != nil {
		addr = a.listener.Addr().String()
	}
	return dsr.New(dsr.Config{Certificate: cert, Key: key, URL: cmp.Or(a.cfg.OpenDSR.URL, "http://"+addr+"/v1/opendsr")})
}

func selfSigned(domain string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), DNSNames: []string{domain}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
