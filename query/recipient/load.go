package recipient

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
)

// Bounds.
const (
	MaxFile       = 4 << 20 // bytes
	MaxRecipients = 1000
	maxAudience   = 1024 // bytes
	maxContact    = 200  // bytes
)

// file is what is written in the file.
type file struct {
	Own        []string `mapstructure:"own"`
	Recipients []entry  `mapstructure:"recipients"`
}

type entry struct {
	ID        string         `mapstructure:"id"`
	Tenants   []string       `mapstructure:"tenants"`
	Audiences []string       `mapstructure:"audiences"`
	URL       string         `mapstructure:"url"`
	Contact   string         `mapstructure:"contact"`
	Key       map[string]any `mapstructure:"key"`
}

// Load reads the registry that is in a file. CheckURL says why a URL would never
// be called. A path of "" is a registry of nobody.
func Load(path string, checkURL func(string) error) (*Registry, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	if info.Size() > MaxFile {
		return nil, fmt.Errorf("recipients %s: %d bytes, at most %d", path, info.Size(), MaxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	g, err := Parse(b, checkURL)
	if err != nil {
		return nil, fmt.Errorf("recipients %s: %w", path, err)
	}
	return g, nil
}

// Parse reads what such a file holds.
func Parse(b []byte, checkURL func(string) error) (*Registry, error) {
	tree, err := yaml.Parser().Unmarshal(b)
	if err != nil {
		return nil, err
	}
	var in file
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: &in, ErrorUnused: true})
	if err != nil {
		return nil, err
	}
	if err := decoder.Decode(tree); err != nil {
		return nil, err
	}
	return in.registry(checkURL)
}

// registry checks what was read, and reports every fault.
func (f *file) registry(checkURL func(string) error) (*Registry, error) {
	g := &Registry{byID: make(map[string]*Recipient), own: make(map[string]bool)}
	var faults []error
	if len(f.Recipients) > MaxRecipients {
		faults = append(faults, fmt.Errorf("%d recipients, at most %d", len(f.Recipients), MaxRecipients))
	}
	for _, aud := range f.Own {
		g.own[aud] = true
	}
	for i := range f.Recipients {
		r, err := f.Recipients[i].recipient(checkURL)
		if err == nil {
			err = g.add(r)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("recipient %d (%.32q): %w", i+1, f.Recipients[i].ID, err))
		}
	}
	return g, errors.Join(faults...)
}

func (g *Registry) add(r *Recipient) error {
	if g.byID[r.ID] != nil {
		return errors.New("id: another one has it")
	}
	for _, aud := range r.Audiences {
		if g.own[aud] {
			return fmt.Errorf("audiences: %.100q is the controller's own", aud)
		}
	}
	g.byID[r.ID] = r
	return nil
}

func (e *entry) recipient(checkURL func(string) error) (*Recipient, error) {
	var faults []error
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, errors.New(fault))
		}
	}
	check(validID(e.ID), "id: want 1 to 32 of a-z 0-9 -, beginning with a letter")
	check(len(e.Audiences) > 0, "audiences: want at least one; an id that only exports name is an audience of its own")
	check(!slices.ContainsFunc(e.Audiences, func(a string) bool { return a == "" || len(a) > maxAudience }), "audiences: one is empty, or too long")
	check(!hasTwice(e.Audiences), "audiences: one is there twice")
	check(!slices.ContainsFunc(e.Tenants, func(t string) bool { return !events.ValidTenant(t) }), "tenants: want names of a-z A-Z 0-9 _ -")
	check(len(e.Contact) <= maxContact, "contact: too long")
	check(e.URL != "" || e.Contact != "", "url or contact: nobody could tell them")
	check((e.URL != "") == (e.Key != nil), "url and key: want both, or none")
	r := &Recipient{ID: e.ID, Tenants: e.Tenants, Audiences: e.Audiences, URL: e.URL, Contact: e.Contact}
	if e.URL != "" {
		if err := checkURL(e.URL); err != nil {
			faults = append(faults, fmt.Errorf("url: %w", err))
		}
	}
	if e.Key != nil {
		var err error
		if r.Key, err = publicKey(e.Key); err != nil {
			faults = append(faults, fmt.Errorf("key: %w", err))
		}
	}
	return r, errors.Join(faults...)
}

// publicKey reads a JWK. One with a private half is refused: it would stand in a
// file that is no secret.
func publicKey(jwk map[string]any) (envelope.PublicKey, error) {
	text := func(name string) string { s, _ := jwk[name].(string); return s }
	for _, name := range []string{"d", "k", "p", "q"} {
		if jwk[name] != nil {
			return envelope.PublicKey{}, errors.New("it is a private key: want the public half alone")
		}
	}
	if text("kty") != "EC" || text("crv") != "P-256" {
		return envelope.PublicKey{}, errors.New("want kty EC and crv P-256")
	}
	if use := text("use"); use != "" && use != "enc" {
		return envelope.PublicKey{}, errors.New("use: want enc")
	}
	return envelope.ParsePublic(text("x"), text("y"))
}

func hasTwice(all []string) bool {
	sorted := slices.Sorted(slices.Values(all))
	return len(slices.Compact(sorted)) < len(all)
}

func validID(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}
