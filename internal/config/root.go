package config

import (
	"regexp"
	"strings"
)

// Root says where the keys are that wrap the keyring's. It never holds one.
type Root string

func (r Root) valid() bool {
	_, dir := r.Dir()
	_, vault := r.Vault()
	_, aws := r.AWS()
	_, gcp := r.GCP()
	return dir || vault || aws || gcp || r.Permanent() && Secret(r).valid()
}

// Permanent reports whether r is one key that can never be destroyed.
func (r Root) Permanent() bool {
	return strings.HasPrefix(string(r), "file:") || strings.HasPrefix(string(r), "env:")
}

// Dir is the folder that r names, if it names one.
func (r Root) Dir() (path string, ok bool) { return r.after("dir:") }

// Vault is the address and mount of the transit engine that r names, if it names
// one.
func (r Root) Vault() (url string, ok bool) { return r.after("vault:") }

var (
	regionName    = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	cryptoKeyName = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$`)
)

// AWS is the region of AWS KMS that r names, if it names one.
func (r Root) AWS() (region string, ok bool) {
	region, ok = r.after("aws:")
	return region, ok && regionName.MatchString(region)
}

// GCP is the crypto key of Google Cloud KMS that r names, if it names one.
func (r Root) GCP() (cryptoKey string, ok bool) {
	cryptoKey, ok = r.after("gcp:")
	return cryptoKey, ok && cryptoKeyName.MatchString(cryptoKey)
}

func (r Root) after(kind string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(string(r), kind)
	return rest, ok && rest != ""
}

// Secret is the one key that r refers to.
func (r Root) Secret() Secret { return Secret(r) }
