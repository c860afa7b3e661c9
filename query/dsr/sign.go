package dsr

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/erasure"
)

// The header fields of what is signed, and those of OpenGDPR 1.0, which OpenDSR
// has everybody keep.
const (
	FieldDomain       = "X-Opendsr-Processor-Domain"
	FieldSignature    = "X-Opendsr-Signature"
	FieldDomainOld    = "X-Opengdpr-Processor-Domain"
	FieldSignatureOld = "X-Opengdpr-Signature"
)

// Kind is what callbacks are of.
const Kind = "opendsr.status"

// Config is what a Signer needs.
type Config struct {
	// Certificate and Key are PEM: of a certificate that an authority issued for
	// Domain, the leaf first, and its key: RSA of at least 2048 bits, or ECDSA on
	// P-256, P-384 or P-521 (FIPS 186-4). Both may be in one file. Required.
	Certificate, Key []byte

	// Domain is the one on which requests are received. Default the first name in
	// the certificate, which has to be for it.
	Domain string

	// URL is where the routes of OpenDSR are reached from outside. Default
	// https://Domain/v1/opendsr.
	URL string
}

// Signer signs what controllers are answered and told.
type Signer struct {
	domain, url string
	certificate []byte
	key         crypto.Signer
}

// New is a signer, or why cfg cannot be used.
func New(cfg Config) (*Signer, error) {
	pair, err := tls.X509KeyPair(cfg.Certificate, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("opendsr: %w", err)
	}
	if cfg.Domain == "" && len(pair.Leaf.DNSNames) > 0 {
		cfg.Domain = pair.Leaf.DNSNames[0]
	}
	if err := pair.Leaf.VerifyHostname(cfg.Domain); err != nil || cfg.Domain == "" || strings.Contains(cfg.Domain, "*") {
		return nil, errors.New("opendsr: the certificate is not for the domain: name one that it is for")
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !suits(pair.Leaf) {
		return nil, errors.New("opendsr: want a certificate for RSA of at least 2048 bits, or ECDSA on a curve of FIPS 186-4")
	}
	if cfg.URL == "" {
		cfg.URL = "https://" + cfg.Domain + "/v1/opendsr"
	}
	return &Signer{domain: cfg.Domain, url: strings.TrimSuffix(cfg.URL, "/"), certificate: encode(pair.Certificate), key: key}, nil
}

// encode is a chain in PEM, and nothing else of the file that it came from: the key
// is often in there too.
func encode(chain [][]byte) (out []byte) {
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func suits(leaf *x509.Certificate) bool {
	switch public := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return public.Size() >= 256
	case *ecdsa.PublicKey:
		return slices.Contains([]string{"P-256", "P-384", "P-521"}, public.Curve.Params().Name)
	default:
		return false
	}
}

// Domain is the one that signs, and whose extensions are ours.
func (s *Signer) Domain() string { return s.domain }

// Certificate is PEM: what signatures are verified with, which anybody may have.
func (s *Signer) Certificate() []byte { return s.certificate }

// Sign is the header of what has this body: a signature over its SHA-256, RSA as
// PKCS #1 v1.5, ECDSA in ASN.1, in base64.
func (s *Signer) Sign(body []byte) (http.Header, error) {
	sum := sha256.Sum256(body)
	signature, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("opendsr: sign: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(signature)
	h := http.Header{}
	for _, f := range []struct{ name, value string }{
		{FieldDomain, s.domain}, {FieldDomainOld, s.domain}, {FieldSignature, text}, {FieldSignatureOld, text},
	} {
		h.Set(f.name, f.value)
	}
	return h, nil
}

// Discovery says what is taken here.
type Discovery struct {
	APIVersion  string              `json:"api_version"`
	Identities  []SupportedIdentity `json:"supported_identities"`
	Types       []string            `json:"supported_subject_request_types"`
	Certificate string              `json:"processor_certificate"`
}

// SupportedIdentity is one kind that is taken.
type SupportedIdentity struct {
	Type   string `json:"identity_type"`
	Format string `json:"identity_format"`
}

// Discover is the answer to GET /discovery.
func (s *Signer) Discover() Discovery {
	return Discovery{Version, []SupportedIdentity{{CustomerID, Raw}}, Types(), s.url + "/certificate"}
}

// Message is the callback to url that says how it stood with r at a step, to whoever
// asked for it under id.
func (s *Signer) Message(r *erasure.Request, step erasure.Step, id, url string) (callback.Message, error) {
	body := s.status(r, step.State, id)
	body.CallbackURL = url
	b, err := json.Marshal(body)
	if err != nil {
		return callback.Message{}, fmt.Errorf("opendsr: %w", err)
	}
	h, err := s.Sign(b)
	return callback.Message{Kind: Kind, Header: h, Body: b}, err
}
