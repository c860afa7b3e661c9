package workload

import (
	"net/netip"
	"time"

	"github.com/rescindhq/rescind/events"
)

// person is one subject with what they hold now.
type person struct {
	name           string
	session, token uuid
	issued         int64 // the token, in Unix seconds
	rank           uint64
	ip             uint32
	agent          uint8 // into userAgents
	client         int   // into clients
}

func (p *person) expires() int64 { return p.issued + int64(lifetime/time.Second) }

// person is the one of that rank. Who is met first had a session before.
func (g *Generator) person(rank uint64, at time.Time) *person {
	p := &g.known[rank]
	if p.name == "" {
		before := at.Add(-time.Duration(g.rnd.Int64N(int64(lifetime / 2))))
		p.name, p.rank, p.client = name(rank), rank, int(rank%uint64(len(clients)))
		p.ip, p.agent = g.rnd.Uint32(), uint8(g.agents.Uint64())
		p.session, p.token, p.issued = g.uuid(before), g.uuid(before), before.Unix()
	}
	return p
}

// happen changes what p holds. A login in eight is from somewhere else, and one
// in thirty-two on another device.
func (g *Generator) happen(p *person, kind events.Type, at time.Time) {
	switch kind {
	case events.TokenIssued:
		p.session = g.uuid(at)
		if r := g.rnd.Uint32(); r&7 == 0 {
			p.ip = r >> 3
			if r&31 == 0 {
				p.agent = uint8(g.agents.Uint64())
			}
		}
		fallthrough
	case events.TokenRefreshed:
		p.token, p.issued = g.uuid(at), at.Unix()
	}
}

// name is an opaque subject identifier, another for each rank.
func name(rank uint64) string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz"
	b := []byte("usr_0000000000")
	v := rank * 0x2545F4914F6CDD1D & (1<<50 - 1) // odd, so a permutation
	for i := len(b) - 1; i > 3; i-- {
		b[i], v = letters[v&31], v>>5
	}
	return string(b)
}

// address is in 100.64.0.0/10, which belongs to nobody.
func (p *person) address() string {
	v := 100<<24 | 64<<16 | p.ip&(1<<22-1)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String()
}

// source is the issuer's pool, or the service that verified.
func (p *person) source(kind events.Type) string {
	if kind == events.TokenIssued || kind == events.TokenRefreshed {
		return "//id.example.com"
	}
	return services[p.rank%uint64(len(services))]
}
