package feedhttp

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rescindhq/rescind/revocation/feed"
)

// versionsHeld is how many snapshots may be in memory: the newest, and one that
// is still being sent to somebody.
const versionsHeld = 2

// snapshots holds the newest snapshot for all who fetch it.
type snapshots struct {
	source Source

	fetching sync.Mutex // one at a time
	mu       sync.Mutex // for the rest
	newest   *version
	held     int // versions with readers, and the newest
}

// version is one snapshot. Its bytes are not changed.
type version struct {
	digest  string
	data    []byte
	readers int
}

func newSnapshots(source Source) *snapshots { return &snapshots{source: source} }

// open is the snapshot that o describes; or the last one there was, where as
// many are held as may be: it is good to begin with as well. The reader calls
// done.
func (s *snapshots) open(ctx context.Context, o feed.Object) (v *version, done func(), err error) {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	if v := s.take(func(v *version) bool { return v.digest == o.Digest || s.held >= versionsHeld }); v != nil {
		return v, func() { s.drop(v) }, nil
	}
	data, err := s.source.Fetch(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	v = &version{digest: o.Digest, data: data}
	s.replace(v)
	return v, func() { s.drop(v) }, nil
}

// last is the last snapshot there was, nil where there was none.
func (s *snapshots) last() (*version, func()) {
	v := s.take(func(*version) bool { return true })
	return v, func() { s.drop(v) }
}

func (s *snapshots) take(fits func(*version) bool) *version {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil || !fits(s.newest) {
		return nil
	}
	s.newest.readers++
	return s.newest
}

func (s *snapshots) replace(v *version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest != nil && s.newest.readers == 0 {
		s.held--
	}
	v.readers = 1
	s.newest = v
	s.held++
}

func (s *snapshots) drop(v *version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.readers--; v.readers == 0 && v != s.newest {
		s.held--
	}
}

const (
	describeWait = 2 * time.Second  // for the description: the last snapshot is answered without it
	fetchWait    = time.Minute      // for all of it
	sendWait     = 10 * time.Minute // for a whole body, whoever takes it
)

// Snapshot answers GET and HEAD with the newest snapshot, or 304. An error means
// that nothing was sent.
func (s *Server) Snapshot(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), fetchWait) // others wait for the same
	defer cancel()
	o, err := s.describe(ctx)
	if err != nil {
		return s.lastSnapshot(w, r, err)
	}
	if tag := etag(o.Digest); matches(r.Header.Get("If-None-Match"), tag) || r.Method == http.MethodHead {
		return head(w, r, tag, o.Size)
	}
	v, done, err := s.snapshots.open(ctx, o)
	if err != nil {
		return fmt.Errorf("fetch snapshot: %w", err)
	}
	defer done()
	return s.body(w, r, v)
}

func (s *Server) describe(ctx context.Context) (feed.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, describeWait)
	defer cancel()
	return s.cfg.Source.Describe(ctx)
}

// lastSnapshot answers with the last one there was: who fetches it is told by
// its head how old it is, and what it revokes stays revoked.
func (s *Server) lastSnapshot(w http.ResponseWriter, r *http.Request, cause error) error {
	v, done := s.snapshots.last()
	if v == nil {
		return fmt.Errorf("describe snapshot: %w", cause)
	}
	defer done()
	if tag := etag(v.digest); matches(r.Header.Get("If-None-Match"), tag) || r.Method == http.MethodHead {
		return head(w, r, tag, uint64(len(v.data)))
	}
	return s.body(w, r, v)
}

// body sends v. Parts of it may be asked for, by those whose connection was cut.
func (s *Server) body(w http.ResponseWriter, r *http.Request, v *version) error {
	headers(w, etag(v.digest))
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("send snapshot: %w", err)
	}
	defer control.SetWriteDeadline(time.Time{}) //nolint:errcheck // the connection is gone then
	paced := &pacer{ResponseWriter: w, control: control, wait: s.cfg.WriteWait, end: time.Now().Add(sendWait)}
	http.ServeContent(paced, r, "", time.Time{}, bytes.NewReader(v.data))
	return nil
}

// pacer cuts a connection that does not take what it is sent.
type pacer struct {
	http.ResponseWriter
	control *http.ResponseController
	wait    time.Duration
	end     time.Time
}

func (p *pacer) Write(b []byte) (int, error) {
	at := time.Now().Add(p.wait)
	if at.After(p.end) {
		at = p.end
	}
	if err := p.control.SetWriteDeadline(at); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// headers says what is sent. A cache of the caller's own may keep it, and asks
// before it uses it again.
func headers(w http.ResponseWriter, tag string) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Etag", tag)
}

func head(w http.ResponseWriter, r *http.Request, tag string, size uint64) error {
	headers(w, tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Length", strconv.FormatUint(size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// etag is the strong validator of a snapshot with that digest.
func etag(digest string) string { return `"` + digest + `"` }

// matches reports whether an If-None-Match names tag. Weak and strong compare
// alike there; a tag of ours holds no comma.
func matches(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}
