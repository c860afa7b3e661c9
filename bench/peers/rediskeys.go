package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// redisKeys is a denylist in Redis: a key for each token, which expires with
// it, and a request for each check.
type redisKeys struct {
	of     *tokens
	server *redisServer
}

// openRedisKeys empties the server.
func openRedisKeys(ctx context.Context, of *tokens, server *redisServer) (*redisKeys, error) {
	return &redisKeys{of: of, server: server}, server.client.FlushAll(ctx).Err()
}

func (r *redisKeys) revoke(ctx context.Context, first, last int) error {
	_, err := r.server.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := first; i < last; i++ {
			p.SetArgs(ctx, nameOf(i), 1, redis.SetArgs{ExpireAt: r.of.until(i)})
		}
		return nil
	})
	return err
}

func (r *redisKeys) check(ctx context.Context, p *probe) (bool, error) {
	err := r.server.client.Get(ctx, p.name).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

func (r *redisKeys) decide(ctx context.Context, p *probe) (bool, error) {
	var all [8]string
	for i, half := range names(&p.claims) {
		all[i] = half[0] + half[1]
	}
	found, err := r.server.client.MGet(ctx, all[:]...).Result()
	for _, value := range found {
		if value != nil {
			return true, err
		}
	}
	return false, err
}

func (r *redisKeys) memory(ctx context.Context) (float64, error) {
	text, err := r.server.info(ctx, "memory", "used_memory")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// usage is what Redis says one key takes, on average of the probes.
func (r *redisKeys) usage(ctx context.Context, probes []probe) (float64, error) {
	total := int64(0)
	for i := range probes {
		n, err := r.server.client.MemoryUsage(ctx, probes[i].name).Result()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / float64(len(probes)), nil
}

// close leaves the server as it is: the next one empties it.
func (r *redisKeys) close() {}
