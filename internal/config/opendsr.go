package config

import "github.com/rescindhq/rescind/internal/faults"

// OpenDSR is how controllers that send requests by OpenDSR are answered.
type OpenDSR struct {
	// Cert and Key are PEM files of a certificate that an authority issued, RSA of at
	// least 2048 bits or ECDSA (FIPS 186-4): answers and callbacks are signed with
	// it. Default http.cert and http.key; where these do not suit, OpenDSR is not
	// spoken. In profile dev without either one is made at each start.
	Cert string `koanf:"cert" desc:"PEM file of the certificate that signs OpenDSR answers, http.cert where empty"`
	Key  string `koanf:"key" desc:"PEM file of its key"`
	// Domain is the one on which requests are received; the certificate has to be for
	// it. Default the first name in the certificate.
	Domain string `koanf:"domain" desc:"domain on which OpenDSR requests are received, the first of the certificate where empty"`
	// URL is where controllers reach /v1/opendsr. Default https://Domain/v1/opendsr.
	URL string `koanf:"url" desc:"URL of /v1/opendsr from outside, https://DOMAIN/v1/opendsr where empty"`
}

func (c *Config) validateOpenDSR(f *faults.List) {
	f.Check((c.OpenDSR.Cert == "") == (c.OpenDSR.Key == ""), "opendsr.cert and opendsr.key are needed both, or neither")
}
