package guardgrpc

import (
	"context"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/rescindhq/rescind/revocation/guard"
)

// Route gives some methods a guard of their own.
type Route struct {
	// Method is a full method such as /shop.Orders/Pay, or a service such as
	// /shop.Orders/ with all that no other route names.
	Method string
	// Guard is theirs. Nil lets every call pass: for health checks.
	Guard *guard.Guard
}

// Unary lets pass calls with a token that passes g, or the guard of their
// route. Handlers find it with guard.From.
func Unary(g *guard.Guard, routes ...Route) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, stop, err := admit(ctx, choose(g, routes, info.FullMethod))
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

// Stream lets pass streams with a token that passes g, or the guard of their
// route, for as long as it does.
func Stream(g *guard.Guard, routes ...Route) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		g := choose(g, routes, info.FullMethod)
		if g == nil {
			return handler(srv, ss)
		}
		ctx, stop, err := admit(ss.Context(), g)
		if err != nil {
			return err
		}
		defer stop()
		return serve(ctx, func() error { return handler(srv, &stream{ServerStream: ss, ctx: ctx}) })
	}
}

// choose is the guard of a method: the one of its own route, else of its
// service's, else g.
func choose(g *guard.Guard, routes []Route, method string) *guard.Guard {
	for _, name := range []string{method, method[:strings.LastIndexByte(method, '/')+1]} {
		if at := slices.IndexFunc(routes, func(r Route) bool { return r.Method == name }); at >= 0 {
			return routes[at].Guard
		}
	}
	return g
}

// admit is the context of a call that passes, with its token.
func admit(ctx context.Context, g *guard.Guard) (context.Context, func(), error) {
	if g == nil {
		return ctx, func() {}, nil
	}
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
