package canary

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"runtime"
	"sync"

	"github.com/dchest/siphash"
)

// Match is a candidate that the corpus tells from others, and by what.
type Match struct{ Candidate, Digest, Of string }

// Attack tries candidates, subjects of an issuer at a tenant, on the corpus: each
// of them in clear, and its digests.
func (c *Corpus) Attack(tenant, issuer string, n int, candidate func(i int) string) (found []Match) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	share := runtime.GOMAXPROCS(0)
	for first := range share {
		workers.Go(func() {
			for i := first; i < n; i += share {
				if m := c.try(tenant, issuer, candidate(i)); m != nil {
					mu.Lock()
					found = append(found, m...)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return found
}

// try is what the corpus has of one candidate.
func (c *Corpus) try(tenant, issuer, subject string) (found []Match) {
	if c.has([]byte(subject)) {
		found = append(found, Match{subject, "clear", "subject"})
	}
	Digests(tenant, issuer, subject, func(digest, of string, sum []byte) {
		if c.has(sum[:window]) {
			found = append(found, Match{subject, digest, of})
		}
	})
	return found
}

// Digests calls each with every digest of a subject that needs no key, of eight
// bytes or more. The sum is only good until each returns.
func Digests(tenant, issuer, subject string, each func(digest, of string, sum []byte)) {
	for _, in := range inputs(tenant, issuer, subject) {
		text := in.text
		tell := func(name string, sum []byte) { each(name, in.name, sum) }
		sum256, sum1, sum5 := sha256.Sum256(text), sha1.Sum(text), md5.Sum(text)
		tell("SHA-256", sum256[:])
		tell("SHA-1", sum1[:])
		tell("MD5", sum5[:])
		sum512, sum3 := sha512.Sum512(text), sha3.Sum256(text)
		tell("SHA-512", sum512[:])
		tell("SHA3-256", sum3[:])
		sip := siphash.Hash(0, 0, text)
		tell("SipHash-64", binary.LittleEndian.AppendUint64(nil, sip))
		tell("SipHash-64", binary.BigEndian.AppendUint64(nil, sip))
		lo, hi := siphash.Hash128(0, 0, text)
		tell("SipHash-128", binary.LittleEndian.AppendUint64(nil, lo))
		tell("SipHash-128", binary.BigEndian.AppendUint64(nil, lo))
		tell("SipHash-128", binary.BigEndian.AppendUint64(nil, hi))
		f := fnv.New64a()
		f.Write(text)
		tell("FNV-1a", f.Sum(nil))
		tell("FNV-1a", binary.LittleEndian.AppendUint64(nil, f.Sum64()))
	}
	tellKeyed(subject, each)
}

// tellKeyed is what somebody would make who took what everybody knows for a key.
func tellKeyed(subject string, each func(digest, of string, sum []byte)) {
	for _, key := range [][]byte{nil, make([]byte, 32)} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(subject))
		each("HMAC-SHA-256, no key", "subject", m.Sum(nil))
	}
}

type input struct {
	name string
	text []byte
}

// inputs is what is hashed where somebody hashes a subject.
func inputs(tenant, issuer, subject string) []input {
	join := func(between string) []byte { return []byte(issuer + between + subject) }
	pair, _ := json.Marshal([]string{issuer, subject}) // strings
	return []input{
		{"subject", []byte(subject)},
		{"issuer, subject", join("")},
		{"issuer|subject", join("|")},
		{"issuer NUL subject", join("\x00")},
		{"issuer/subject", join("/")},
		{"issuer:subject", join(":")},
		{"issuer#subject", join("#")},
		{"[issuer, subject]", pair},
		{"tenant|issuer|subject", append([]byte(tenant+"|"), join("|")...)},
		{"tenant NUL issuer NUL subject", append([]byte(tenant+"\x00"), join("\x00")...)},
		{"tenant, issuer, subject, each behind its length", prefixed(tenant, issuer, subject)},
		{"issuer, subject, each behind its length", prefixed(issuer, subject)},
	}
}

func prefixed(texts ...string) (out []byte) {
	for _, t := range texts {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(t))), t...)
	}
	return out
}
