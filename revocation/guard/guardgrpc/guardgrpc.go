package guardgrpc

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/rescindhq/rescind/revocation/guard"
)

// Unary lets pass calls with a token that passes g. Handlers find it with
// guard.From.
func Unary(g *guard.Guard) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, stop, err := admit(ctx, g)
		if err != nil {
			return nil, err
		}
		defer stop()
		resp, err := handler(ctx, req)
		if cut := cutOf(ctx); cut != nil {
			return nil, cut
		}
		return resp, err
	}
}

// Stream lets pass streams with a token that passes g, for as long as it does.
func Stream(g *guard.Guard) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, stop, err := admit(ss.Context(), g)
		if err != nil {
			return err
		}
		defer stop()
		return serve(ctx, func() error { return handler(srv, &stream{ServerStream: ss, ctx: ctx}) })
	}
}

// admit is the context of a call that passes, with its token.
func admit(ctx context.Context, g *guard.Guard) (context.Context, func(), error) {
	t, err := g.Admit(ctx, callOf(ctx))
	if err != nil {
		return nil, nil, statusOf(err).Err()
	}
	ctx, stop := g.Watch(guard.NewContext(ctx, t), t)
	return ctx, stop, nil
}

func callOf(ctx context.Context) guard.Call {
	var c guard.Call
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		c.Authorization = md.Get("authorization")
		if agents := md.Get("user-agent"); len(agents) == 1 {
			c.UserAgent = agents[0]
		}
	}
	if p, ok := peer.FromContext(ctx); ok {
		c.Address = p.Addr.String()
		if host, _, err := net.SplitHostPort(c.Address); err == nil {
			c.Address = host
		}
	}
	return c
}
