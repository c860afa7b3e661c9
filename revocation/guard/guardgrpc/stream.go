package guardgrpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
)

// stream is a stream that can be cut.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context has the token, and ends when it no longer passes.
func (s *stream) Context() context.Context { return s.ctx }

// SendMsg implements grpc.ServerStream.
func (s *stream) SendMsg(m any) error {
	if cut := cutOf(s.ctx); cut != nil {
		return cut
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg implements grpc.ServerStream.
func (s *stream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if cut := cutOf(s.ctx); cut != nil {
		return cut
	}
	return err
}

// outcome is what became of a handler.
type outcome struct {
	err      error
	panicked any
}

// lastWords is how long the handler of a stream that was cut may take to see it.
const lastWords = 20 * time.Millisecond

// serve runs a handler until it returns or ctx was cut. gRPC has no other way
// to end a stream whose handler waits for a message than to return: the wait
// fails then.
func serve(ctx context.Context, handler func() error) error {
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			o.panicked = recover()
			done <- o
		}()
		o.err = handler()
	}()
	select {
	case o := <-done:
		return o.result(ctx)
	case <-ctx.Done():
	}
	if cutOf(ctx) == nil { // the caller is gone: the handler sees it
		return (<-done).result(ctx)
	}
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case o := <-done:
		return o.result(ctx)
	case <-t.C:
		return cutOf(ctx)
	}
}

// result is what to answer. A panic goes on where it would have gone.
func (o outcome) result(ctx context.Context) error {
	if o.panicked != nil {
		panic(o.panicked)
	}
	if cut := cutOf(ctx); cut != nil {
		return cut
	}
	return o.err
}
