package guardgrpc

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/rescindhq/rescind/revocation/guard"
)

// Domain is that of the ErrorInfo in a status.
const Domain = "rescind.dev"

// retryAfter is when to try again where the fault is ours.
const retryAfter = time.Second

// statusOf is a refusal as a status.
func statusOf(err error) *status.Status {
	var r *guard.Refusal
	if !errors.As(err, &r) {
		return status.New(codes.Internal, "the token was not checked")
	}
	code := codes.Unauthenticated
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: strings.ToUpper(string(r.Reason)), Domain: Domain}}
	if r.Status() == http.StatusServiceUnavailable {
		code = codes.Unavailable
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	}
	s := status.New(code, r.Detail())
	if full, err := s.WithDetails(details...); err == nil {
		return full
	}
	return s
}

// cutOf is the status of a call that was cut, nil where it was not.
func cutOf(ctx context.Context) error {
	var r *guard.Refusal
	if errors.As(context.Cause(ctx), &r) {
		return statusOf(r).Err()
	}
	return nil
}
