FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# nolibchdb: a server of its own needs no embedded engine, and links statically.
RUN CGO_ENABLED=0 go build -tags nolibchdb -trimpath -ldflags=-s -o /rescind ./cmd/rescind

FROM alpine:3.22
RUN apk add --no-cache ca-certificates tzdata \
 && adduser -D -H -u 65532 rescind \
 && install -d -o rescind -g rescind -m 0755 /secrets /etc/nats /etc/clickhouse-server/users.d \
 && install -d -o rescind -g rescind -m 0700 /secrets/root
COPY --from=build /rescind /usr/local/bin/rescind
USER rescind
EXPOSE 8080
ENTRYPOINT ["rescind"]
CMD ["serve"]
