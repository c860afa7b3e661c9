package feedhttp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/rescindhq/rescind/revocation"
)

// SnapshotPath is where the snapshot is found, for who is told to begin anew.
const SnapshotPath = "/v1/revocations/snapshot"

var (
	// errReset means that what follows a position is not to be had.
	errReset = errors.New("position is gone")
	// errSlow means that a stream has fallen behind what is kept.
	errSlow = errors.New("stream is too slow")
)

// Stream sends the feed to w from behind the position in Last-Event-ID, or from
// the last delta where there is none, until the request or until ends. An error
// means that nothing was sent.
func (s *Server) Stream(w http.ResponseWriter, r *http.Request, until time.Time) error {
	ctx, cancel := context.WithDeadline(r.Context(), until)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	defer s.streams.Add(-1)
	if s.streams.Add(1) > int64(s.cfg.Streams) || s.closing.Err() != nil {
		return ErrBusy
	}
	out := &sender{w: w, control: http.NewResponseController(w), wait: s.cfg.WriteWait}
	p, err := s.join(ctx, out, r.Header.Get("Last-Event-ID"))
	if err == nil {
		err = s.follow(ctx, out, p)
	}
	return s.end(out, err)
}

// end is what becomes of a stream that ended with err.
func (s *Server) end(out *sender, err error) error {
	switch {
	case errors.Is(err, errReset):
		s.resets.Add(1)
		err = out.send(frame(EventReset, "", Reset{Snapshot: SnapshotPath}))
	case errors.Is(err, errSlow), errors.Is(err, os.ErrDeadlineExceeded):
		s.cut.Add(1)
	}
	if !out.began {
		return err
	}
	out.release()
	return nil
}

// join brings a new stream to where it can follow.
func (s *Server) join(ctx context.Context, out *sender, after string) (position, error) {
	if after == "" {
		return s.first(ctx, out)
	}
	p, err := parsePosition(after)
	if err != nil {
		return p, err
	}
	if _, at, _ := s.kept.next(p, 0); at == within {
		return p, nil
	}
	wait, cancel := context.WithTimeout(ctx, s.cfg.WriteWait)
	defer cancel()
	if s.behind.Acquire(wait, 1) != nil {
		return p, ErrBusy
	}
	defer s.behind.Release(1)
	return s.catchUp(ctx, out, p)
}

// first waits for a delta to begin with.
func (s *Server) first(ctx context.Context, out *sender) (position, error) {
	for {
		_, _, moved := s.kept.next(position{}, 0)
		if p, any := s.kept.newest(); any {
			return p, nil
		}
		if err := s.quiet(ctx, out, moved); err != nil {
			return position{}, err
		}
	}
}

// behindFor is how many times WriteWait a stream may read what is stored, so that
// some who take each message at the last moment do not keep all others from it.
// It may come back with its position, which has moved on.
const behindFor = 6

// catchUp sends what is stored behind p, until the rest is kept.
func (s *Server) catchUp(ctx context.Context, out *sender, p position) (position, error) {
	sent, began := false, time.Now()
	for after, more := p.seq, true; more; {
		var messages [][]byte
		var err error
		if messages, after, more, err = s.cfg.Source.After(ctx, after); err != nil {
			return p, err
		}
		for _, m := range messages {
			d, err := revocation.OpenDelta(s.cfg.PublicKey, m)
			if err != nil {
				continue // not ours: a delta that it stood in for is missed by the next
			}
			if !p.continues(d) {
				return p, errReset
			}
			if err := out.send(event(d, m)); err != nil {
				return p, err
			}
			p, sent = position{d.Feed, d.Seq, revocation.Sum(m)}, true
			if time.Since(began) > behindFor*s.cfg.WriteWait {
				return p, errSlow
			}
		}
		if _, at, _ := s.kept.next(p, 0); at == within {
			return p, nil
		}
	}
	if sent {
		return p, nil
	}
	return p, s.isLast(ctx, p)
}

// isLast returns nil where p is the last delta stored.
func (s *Server) isLast(ctx context.Context, p position) error {
	m, err := s.cfg.Source.Last(ctx)
	switch {
	case err != nil:
		return err
	case m == nil:
		return errReset
	}
	d, err := revocation.OpenDelta(s.cfg.PublicKey, m)
	switch {
	case err != nil:
		return fmt.Errorf("last message of the feed: %w", err) // says nothing either way
	case d.Feed != p.feed || d.Seq != p.seq:
		return errReset
	}
	return nil
}

// few bounds what is written at once: a heartbeat is short, a full delta some
// 300 KB.
const few = 16

// follow sends what comes, until something ends it.
func (s *Server) follow(ctx context.Context, out *sender, p position) error {
	for {
		items, at, moved := s.kept.next(p, few)
		if at == gone {
			return errSlow
		}
		for _, it := range items {
			if err := out.send(it.sent(s.cfg.PublicKey)); err != nil {
				return err
			}
			p = it.at
		}
		if len(items) > 0 {
			continue
		}
		if err := s.quiet(ctx, out, moved); err != nil {
			return err
		}
	}
}

// quiet waits for moved, and says now and then that the stream is still there.
func (s *Server) quiet(ctx context.Context, out *sender, moved <-chan struct{}) error {
	if err := out.begin(); err != nil {
		return err
	}
	t := time.NewTicker(s.cfg.Quiet)
	defer t.Stop()
	for {
		select {
		case <-moved:
			return nil
		case <-t.C:
			if err := out.send([]byte(":\n\n")); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sender writes to one stream. Each write has wait to be taken.
type sender struct {
	w       http.ResponseWriter
	control *http.ResponseController
	wait    time.Duration
	began   bool
}

// begin sends the head once. What it says of buffers is for what is between. The
// time after which to come back differs, so that not all do at once.
func (o *sender) begin() error {
	if o.began {
		return nil
	}
	if err := o.control.SetReadDeadline(time.Time{}); err != nil { // that of the server would end the request
		return fmt.Errorf("begin stream: %w", err)
	}
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	o.began = true
	o.w.WriteHeader(http.StatusOK)
	return o.write(fmt.Appendf(nil, "retry: %d\n\n", 500+rand.IntN(1500)))
}

func (o *sender) send(b []byte) error {
	if err := o.begin(); err != nil {
		return err
	}
	return o.write(b)
}

func (o *sender) write(b []byte) error {
	if err := o.control.SetWriteDeadline(time.Now().Add(o.wait)); err != nil {
		return err
	}
	if _, err := o.w.Write(b); err != nil {
		return err
	}
	return o.control.Flush()
}

// release leaves the connection as it would be without us, if it is there.
func (o *sender) release() { _ = o.control.SetWriteDeadline(time.Time{}) }
