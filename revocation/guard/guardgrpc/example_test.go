package guardgrpc_test

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
	"github.com/rescindhq/rescind/revocation/guard/guardgrpc"
)

// serveHealth is a service with a unary method, Check, and one that streams,
// Watch, and a client of it. In production g is that of guard.Dial.
func serveHealth(g *guard.Guard) (client healthpb.HealthClient, stop func()) {
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(guardgrpc.Unary(g)), grpc.ChainStreamInterceptor(guardgrpc.Stream(g)))
	healthpb.RegisterHealthServer(server, health.NewServer())
	l := bufconn.Listen(1 << 16)
	go server.Serve(l)
	conn := must(grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })))
	return healthpb.NewHealthClient(conn), func() {
		conn.Close()
		server.Stop()
	}
}

// A call is let pass while its token is good.
func ExampleUnary() {
	feed := says(revocation.Active) // stands for a *feed.Feed
	client, stop := serveHealth(newGuard(feed))
	defer stop()
	ctx := with(context.Background(), "Bearer "+token())

	resp, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
	fmt.Println(resp.GetStatus(), status.Code(err))
	feed.revoke()
	_, err = client.Check(ctx, &healthpb.HealthCheckRequest{})
	fmt.Println(status.Code(err), status.Convert(err).Message())
	// Output:
	// SERVING OK
	// Unauthenticated the token was revoked
}

// A stream that was open ends when its token is revoked.
func ExampleStream() {
	feed := says(revocation.Active) // stands for a *feed.Feed
	client, stop := serveHealth(newGuard(feed))
	defer stop()

	stream, err := client.Watch(with(context.Background(), "Bearer "+token()), &healthpb.HealthCheckRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := stream.Recv()
	fmt.Println(resp.GetStatus(), status.Code(err))
	feed.revoke()
	_, err = stream.Recv()
	fmt.Println(status.Code(err), status.Convert(err).Message())
	// Output:
	// SERVING OK
	// Unauthenticated the token was revoked
}
