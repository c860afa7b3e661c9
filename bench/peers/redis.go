package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a server of our own in a temporary folder.
type redisServer struct {
	server *exec.Cmd
	client *redis.Client
}

// startRedis starts a server whose log of writes is synced at each of them, or
// one that keeps everything in memory.
func startRedis(ctx context.Context, dir string, durable bool) (_ *redisServer, err error) {
	program := os.Getenv("REDIS_SERVER")
	if program == "" {
		program = "redis-server"
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err = os.MkdirTemp(dir, "redis-*")
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	file := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(file, []byte(settings(dir, password, port, durable)), 0o600); err != nil {
		return nil, err
	}
	s := &redisServer{server: exec.Command(program, file)}
	s.server.Stderr = os.Stderr
	if err := s.server.Start(); err != nil {
		return nil, fmt.Errorf("redis-server 7 is not there: run install.sh, or name the program in REDIS_SERVER: %w", err)
	}
	s.client = redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Password: password, PoolSize: 2 * atOnce})
	if err := s.ready(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func settings(dir, password string, port int, durable bool) string {
	log := "no"
	if durable {
		log = "yes"
	}
	return fmt.Sprintf("bind 127.0.0.1\nport %d\nrequirepass %s\ndir %q\nsave \"\"\nlogfile %q\nappendonly %s\nappendfsync always\n",
		port, password, dir, filepath.Join(dir, "redis.log"), log)
}

// ready waits until it answers, and refuses another version than 7.
func (s *redisServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		version, err := s.info(ctx, "server", "redis_version")
		if err == nil {
			return supported(version)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", err)
		case <-tick.C:
		}
	}
}

func supported(version string) error {
	if !strings.HasPrefix(version, "7.") {
		return fmt.Errorf("redis-server is version %s, want 7", version)
	}
	return nil
}

// info is one line of INFO.
func (s *redisServer) info(ctx context.Context, section, name string) (string, error) {
	text, err := s.client.Info(ctx, section).Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("INFO %s has no %s", section, name)
}

func (s *redisServer) close() {
	_ = s.client.Close()
	_ = s.server.Process.Kill() // the folder is thrown away
	_ = s.server.Wait()
}
