package feedhttp

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/rescindhq/rescind/internal/faults"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// Source is what is stored of the feed: *feed.Stored. It may be called from any
// goroutine.
type Source interface {
	// Last is the last message stored, nil where there is none.
	Last(ctx context.Context) ([]byte, error)
	// After is messages behind seq in order, the sequence of the last of them,
	// and whether there are more.
	After(ctx context.Context, seq uint64) (messages [][]byte, last uint64, more bool, err error)
	// Describe describes the newest snapshot.
	Describe(ctx context.Context) (feed.Object, error)
	// Fetch is all of the snapshot that o describes, or an error.
	Fetch(ctx context.Context, o feed.Object) ([]byte, error)
	// Keys is a page of feed keys as it was signed, and as it was read.
	Keys(ctx context.Context, r revocation.KeysRequest) (page *revocation.KeysReply, body, signature []byte, err error)
}

// Config is what a Server needs.
type Config struct {
	// Source is what is stored. Required.
	Source Source
	// PublicKey is the key that the projector signs with: nothing else is passed
	// on. Required.
	PublicKey ed25519.PublicKey
	// KeepBytes bounds the deltas kept for streams, as they were signed. What
	// streams are sent is up to four times as long, and kept as well once there
	// was one. Default 8 MiB, at least 1.
	KeepBytes int
	// Streams is how many may be open. Default 10,000; at least 1. Each costs a
	// connection and some 28 KiB.
	Streams int
	// WriteWait is how long a stream may take to accept what it is sent before it
	// is cut. Default 10 s; above 0.
	WriteWait time.Duration
	// Quiet is after how long without a delta a comment is sent, so that what is
	// between does not take the stream for dead, and we notice where it is.
	// Default 15 s; above 0.
	Quiet time.Duration
	// Log is told of what is not to be expected. Default slog.DiscardHandler.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.KeepBytes == 0 {
		c.KeepBytes = 8 << 20
	}
	if c.Streams == 0 {
		c.Streams = 10_000
	}
	if c.WriteWait == 0 {
		c.WriteWait = 10 * time.Second
	}
	if c.Quiet == 0 {
		c.Quiet = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f faults.List
	f.Check(c.Source != nil, "source is missing")
	f.Check(len(c.PublicKey) == ed25519.PublicKeySize, "public key: want an Ed25519 key of %d bytes", ed25519.PublicKeySize)
	f.Check(c.KeepBytes >= 1<<20, "keep bytes %d: want at least 1 MiB", c.KeepBytes)
	f.Check(c.Streams >= 1, "streams %d: want at least 1", c.Streams)
	f.Check(c.WriteWait > 0, "write wait %s: want more than 0", c.WriteWait)
	f.Check(c.Quiet > 0, "quiet %s: want more than 0", c.Quiet)
	return f.Err()
}

var (
	// ErrPosition means that a Last-Event-ID is none of ours.
	ErrPosition = errors.New("not a position of the feed")
	// ErrBusy means that there are as many streams as there may be, or that the
	// server stops.
	ErrBusy = errors.New("too many streams")
)

// behindAtOnce is how many streams may read what is stored at once: each holds
// up to 4 MiB meanwhile.
const behindAtOnce = 16

// Server passes the feed on.
type Server struct {
	cfg       Config
	kept      *kept
	snapshots *snapshots
	behind    *semaphore.Weighted
	closing   context.Context // ended by Close
	close     context.CancelFunc

	streams, cut, resets atomic.Int64
}

// New checks cfg. It does not touch the network.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("feed over http: %w", err)
	}
	cfg = cfg.withDefaults()
	closing, stop := context.WithCancel(context.Background())
	return &Server{
		cfg: cfg, kept: newKept(cfg.KeepBytes), snapshots: newSnapshots(cfg.Source),
		behind: semaphore.NewWeighted(behindAtOnce), closing: closing, close: stop,
	}, nil
}

// Pass passes one delta on: the OnDelta of a feed. It does not wait for anybody.
func (s *Server) Pass(d *revocation.Delta, message []byte) { s.kept.add(d, message) }

// Close ends every stream, and lets no other begin.
func (s *Server) Close() { s.close() }

// Stats is how many streams there are, and what became of others.
type Stats struct {
	Streams int64 // open
	Cut     int64 // because they were too slow
	Resets  int64 // sent: their position was not to be had
}

// Stats is what happened so far.
func (s *Server) Stats() Stats {
	return Stats{Streams: s.streams.Load(), Cut: s.cut.Load(), Resets: s.resets.Load()}
}
