package controls

import (
	"cmp"
	"time"

	"github.com/rescindhq/rescind/internal/faults"
)

// Config is what the rules hold events to. At zero it is the default.
type Config struct {
	// Algorithms is the allow-list of alg, as in RFC 7518. Default
	// [DefaultAlgorithms]. RFC 8725 3.1.
	Algorithms []string

	// TokenLifetime is the longest exp - iat. Default 1 h; 1 s to 8784 h.
	TokenLifetime time.Duration

	// ClockOffset is how far an event's time may be ahead of ours. Default 5 s;
	// 1 ms to 1 h. PCI DSS 10.6.
	ClockOffset time.Duration

	// Skew is how long after its retirement a key may still be seen to sign:
	// clocks of issuers differ. Default 1 min; 0 is the default, to 1 h.
	Skew time.Duration

	// MaxTokens is how many issued tokens are remembered, about 40 bytes each:
	// at least half of it, the latest ones. Default 1,000,000; 2 to
	// 100,000,000.
	MaxTokens int

	// MaxOpen is how many open findings are remembered, about 150 bytes each;
	// what is forgotten may be opened again. Default 100,000; 2 to 10,000,000.
	MaxOpen int

	// MaxKeys is how many signing keys are remembered of all tenants together,
	// about 200 bytes each. A tenant whose key does not fit is treated as past
	// MaxKeysPerTenant. Default 100,000; 2 to 10,000,000.
	MaxKeys int

	// MaxKeysPerTenant is how many signing keys are remembered of one tenant,
	// the retired ones among them. Past it key-known is silent for that tenant,
	// and says so in a finding. The default lasts one issuer that rotates weekly
	// for 19 years, and leaves room for a hundred tenants that use it up.
	// Default 1,000, or half of MaxKeys where that is less; 1 to half of
	// MaxKeys, so that no tenant takes the room of the others.
	MaxKeysPerTenant int

	// MaxConsents is how many consents are remembered of all tenants together,
	// about 40 bytes each. A tenant whose consent does not fit is treated as past
	// MaxConsentsPerTenant. Default 5,000,000; 2 to 100,000,000.
	MaxConsents int

	// MaxConsentsPerTenant is how many consents are remembered of one tenant,
	// the withdrawn ones among them. Past it consent-cited calls no consent of
	// that tenant unknown, and says so in a finding. The default is several for
	// each person of a large tenant, and a fifth of what fits, as consents are
	// many and tenants of that size few. Default 1,000,000, or half of
	// MaxConsents where that is less; 1 to half of MaxConsents, as for keys.
	MaxConsentsPerTenant int
}

// DefaultAlgorithms lists the asymmetric algorithms of RFC 7518 and RFC 8037.
func DefaultAlgorithms() []string {
	return []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
}

// withDefaults is c with every zero member at its default.
func (c Config) withDefaults() Config {
	if len(c.Algorithms) == 0 {
		c.Algorithms = DefaultAlgorithms()
	}
	c.TokenLifetime = cmp.Or(c.TokenLifetime, time.Hour)
	c.ClockOffset = cmp.Or(c.ClockOffset, 5*time.Second)
	c.Skew = cmp.Or(c.Skew, time.Minute)
	c.MaxTokens = cmp.Or(c.MaxTokens, 1_000_000)
	c.MaxOpen = cmp.Or(c.MaxOpen, 100_000)
	c.MaxKeys = cmp.Or(c.MaxKeys, 100_000)
	c.MaxKeysPerTenant = cmp.Or(c.MaxKeysPerTenant, min(1000, half(c.MaxKeys)))
	c.MaxConsents = cmp.Or(c.MaxConsents, 5_000_000)
	c.MaxConsentsPerTenant = cmp.Or(c.MaxConsentsPerTenant, min(1_000_000, half(c.MaxConsents)))
	return c
}

// half is the most of n that one tenant may have.
func half(n int) int { return max(n/2, 1) }

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f faults.List
	for _, a := range c.Algorithms {
		f.Check(!symmetric(a), "algorithms: %.20q needs no private key and cannot be allowed", a)
	}
	f.Check(c.TokenLifetime >= time.Second && c.TokenLifetime <= 8784*time.Hour, "token lifetime %s: want 1s to 8784h", c.TokenLifetime)
	f.Check(c.ClockOffset >= time.Millisecond && c.ClockOffset <= time.Hour, "clock offset %s: want 1ms to 1h", c.ClockOffset)
	f.Check(c.Skew > 0 && c.Skew <= time.Hour, "skew %s: want up to 1h", c.Skew)
	f.Check(c.MaxTokens >= 2 && c.MaxTokens <= 100_000_000, "max tokens %d: want 2 to 100000000", c.MaxTokens)
	f.Check(c.MaxOpen >= 2 && c.MaxOpen <= 10_000_000, "max open %d: want 2 to 10000000", c.MaxOpen)
	f.Check(c.MaxKeys >= 2 && c.MaxKeys <= 10_000_000, "max keys %d: want 2 to 10000000", c.MaxKeys)
	f.Check(c.MaxKeysPerTenant >= 1 && c.MaxKeysPerTenant <= half(c.MaxKeys), "max keys per tenant %d: want 1 to %d, half of max keys", c.MaxKeysPerTenant, half(c.MaxKeys))
	f.Check(c.MaxConsents >= 2 && c.MaxConsents <= 100_000_000, "max consents %d: want 2 to 100000000", c.MaxConsents)
	f.Check(c.MaxConsentsPerTenant >= 1 && c.MaxConsentsPerTenant <= half(c.MaxConsents), "max consents per tenant %d: want 1 to %d, half of max consents", c.MaxConsentsPerTenant, half(c.MaxConsents))
	return f.Of("controls")
}
