package query

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// bulkRun is one request with lines of a job.
type bulkRun struct {
	s       *Server
	c       echo.Context
	key     jobKey
	id      uuid.UUID // of the job; the ids of its lines do not tell it
	job     *bulkJob
	at      time.Time
	actor   *Principal
	control *http.ResponseController
	line    uint32 // the last that was read
	skip    uint32 // up to this one lines are durable, and only compared
	lines   lines  // up to line

	logged uint32    // when it was looked at last
	moved  time.Time // when that was seen to change
}

// run reads lines, and has a few lots of them under way. What is durable moves on
// in the order of the lines. Whatever happens, the job is not being read any more:
// few are at once.
func (r *bulkRun) run(ctx context.Context) (err error) {
	complete := false
	defer func() { r.s.bulk.end(r.job, complete) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	under := make(chan *bulkLot, bulkWindow-1)
	settled := make(chan error, 1)
	go func() { settled <- r.settle(under, cancel) }()
	err = r.read(ctx, under)
	stopped := <-settled // and now it is known how far it came
	if stopped == nil && errors.Is(err, errCutOff) {
		err = badBody("it was cut off: the lines up to %d are done, send the rest again", r.s.bulk.durable(r.job))
	}
	err = errors.Join(stopped, err) // what stopped the reader comes first
	complete = err == nil
	return err
}

// errCutOff says that a body ended in the middle.
var errCutOff = errors.New("the body was cut off")

// settle notes lots as they become durable, in their order, up to the first that
// does not.
func (r *bulkRun) settle(under <-chan *bulkLot, cancel context.CancelFunc) (err error) {
	for lot := range under {
		<-lot.done
		if err == nil {
			err = lot.err
		}
		if err != nil {
			cancel()
			continue
		}
		r.s.bulk.done(r.job, lot)
	}
	return err
}

// read hands lots over until the body ends. A line that was cut off is not acted
// on.
func (r *bulkRun) read(ctx context.Context, under chan<- *bulkLot) error {
	defer close(under)
	in := bufio.NewReaderSize(r.c.Request().Body, bulkLine)
	for end := false; !end; {
		if err := r.control.SetReadDeadline(time.Now().Add(bulkReadWait)); err != nil {
			return err
		}
		lot, err := r.lot(in)
		end = errors.Is(err, io.EOF)
		switch told := (*problemError)(nil); {
		case errors.As(err, &told):
			return told
		case err != nil && !end:
			return errCutOff
		case end && r.line < r.skip:
			return errOtherLines(r.skip)
		}
		if len(lot.lines) == 0 {
			continue
		}
		if err := r.pace(ctx); err != nil {
			return err
		}
		select {
		case under <- lot:
			go r.publish(ctx, lot)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// pace waits while much of the job is not on the log yet: it must neither fill
// the intake nor have the revocation of somebody else wait behind all of it.
// Where the log stands still for a while it is not the job that is waited for:
// its lines were there before, or nobody writes.
func (r *bulkRun) pace(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		unlogged, logged := r.s.bulk.unlogged(r.job)
		if logged != r.logged {
			r.logged, r.moved = logged, time.Now()
		}
		if unlogged <= bulkUnlogged || time.Since(r.moved) > bulkStandsBy {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lot reads lines up to the end of a batch. Those that are durable are only
// compared.
func (r *bulkRun) lot(in *bufio.Reader) (*bulkLot, error) {
	lot := &bulkLot{first: r.line + 1, done: make(chan struct{})}
	for {
		line, any, err := readLine(in)
		if err != nil && (!any || !errors.Is(err, io.EOF)) {
			lot.read = r.lines.until()
			return lot, err
		}
		if line, err = r.take(line), errors.Join(err, r.compare()); r.line > r.skip {
			lot.lines, lot.last = append(lot.lines, line), r.line
		} else {
			lot.first = r.line + 1
		}
		if err != nil || r.line%bulkBatch == 0 {
			lot.read = r.lines.until()
			return lot, err
		}
	}
}

// take counts a line in, and returns what of it is to be read.
func (r *bulkRun) take(line []byte) []byte {
	if r.line++; r.line == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff")) // RFC 8259 section 8.1 lets us, and some programs write it
	}
	r.lines.add(line)
	return line
}

// compare judges the lines up to now.
func (r *bulkRun) compare() error {
	switch {
	case r.line > bulkLines:
		return invalid("", "a job has at most %d lines", bulkLines)
	case r.line == r.skip && r.lines.digest() != r.s.bulk.read(r.job):
		return errOtherLines(r.skip)
	default:
		return nil
	}
}

// readLine is a copy of the next line, nil where it is too long, and whether
// there is any: behind the last line there may be no line end.
func readLine(in *bufio.Reader) (line []byte, any bool, err error) {
	read, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return append([]byte{}, bytes.TrimRight(read, "\r\n")...), len(read) > 0, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return nil, true, err
}
