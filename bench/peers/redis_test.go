package main

import (
	"context"
	"testing"
)

// TestRedisIsAsWeSay holds the servers to what README.md says of them.
func TestRedisIsAsWeSay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		durable bool
		log     string
	}{{true, "yes"}, {false, "no"}} {
		s, err := startRedis(t.Context(), t.TempDir(), c.durable)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		for name, want := range map[string]string{"appendonly": c.log, "appendfsync": "always", "save": "", "bind": "127.0.0.1"} {
			got, err := s.client.ConfigGet(t.Context(), name).Result()
			if err != nil || got[name] != want {
				t.Errorf("%s is %q, want %q, %v", name, got[name], want, err)
			}
		}
	}
}

func TestAnotherRedisIsRefused(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{"7.0.15": true, "7.4.2": true, "6.2.14": false, "8.0.0": false, "70.1": false} {
		if err := supported(version); (err == nil) != ok {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// TestKeysOfRedis checks that a key expires with its token, and that a list
// begins empty.
func TestKeysOfRedis(t *testing.T) {
	t.Parallel()
	s, err := startRedis(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	of := newTokens()
	list := openKeys(t, of, s)
	if err := list.revoke(t.Context(), 0, 10); err != nil {
		t.Fatal(err)
	}
	at, err := s.client.ExpireTime(t.Context(), nameOf(3)).Result()
	if err != nil || int64(at.Seconds()) != of.until(3).Unix() {
		t.Errorf("it expires at %s, want %d, %v", at, of.until(3).Unix(), err)
	}
	if n := refused(t, list, of); n != 10 {
		t.Errorf("%d are refused", n)
	}
	if n := refused(t, openKeys(t, of, s), of); n != 0 {
		t.Errorf("%d are refused at first", n)
	}
}

func openKeys(t *testing.T, of *tokens, s *redisServer) *redisKeys {
	t.Helper()
	list, err := openRedisKeys(t.Context(), of, s)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// refused counts which of twenty tokens are, by both questions.
func refused(t *testing.T, d denylist, of *tokens) (n int) {
	t.Helper()
	for _, p := range of.probes(0, 20, 20) {
		both := [2]bool{}
		for i, ask := range []func(context.Context, *probe) (bool, error){d.check, d.decide} {
			got, err := ask(t.Context(), &p)
			if err != nil {
				t.Fatal(err)
			}
			both[i] = got
		}
		if both[0] != both[1] {
			t.Errorf("%s: %v", p.name, both)
		}
		if both[0] {
			n++
		}
	}
	return n
}
