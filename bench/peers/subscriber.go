package main

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// channel is where revocations are published, and lifetime what they are kept
// for.
const (
	channel  = "revoked"
	lifetime = 24 * time.Hour
)

// subscriber is the usual way with Redis: a revocation is a key and a message,
// and verifiers keep what they hear in a map.
type subscriber struct {
	server *redisServer
	sub    *redis.PubSub
	list   *localMap
	ended  chan struct{}
}

func openSubscriber(ctx context.Context, dir string, durable bool) (*subscriber, error) {
	server, err := startRedis(ctx, dir, durable)
	if err != nil {
		return nil, err
	}
	s := &subscriber{server: server, sub: server.client.Subscribe(ctx, channel), list: openLocalMap(newTokens()), ended: make(chan struct{})}
	if _, err := s.sub.Receive(ctx); err != nil { // the confirmation
		_ = s.sub.Close()
		server.close()
		return nil, err
	}
	go s.listen()
	return s, nil
}

func (s *subscriber) listen() {
	defer close(s.ended)
	for m := range s.sub.Channel() {
		s.list.add(m.Payload, time.Now().Add(lifetime))
	}
}

func (s *subscriber) revoke(ctx context.Context, jti string) error {
	name := "jti:" + jti
	_, err := s.server.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, name, 1, lifetime)
		p.Publish(ctx, channel, name)
		return nil
	})
	return err
}

func (s *subscriber) refuses(jti string) bool { return s.list.refuses("jti:" + jti) }

func (s *subscriber) cut(ctx context.Context) error {
	return s.server.client.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
}

func (s *subscriber) close() {
	_ = s.sub.Close()
	<-s.ended
	s.server.close()
}
