package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/secrets"
)

// composeProject loads the file that a user with Docker runs.
func composeProject(t *testing.T) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithName("rescind"), cli.WithProfiles([]string{"rebuild"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// composeConfig is the configuration that a service of the file starts with.
func composeConfig(t *testing.T, service string) config.Config {
	t.Helper()
	var environ []string
	for name, value := range composeProject(t).Services[service].Environment {
		environ = append(environ, name+"="+*value)
	}
	c, err := config.Load(config.Source{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// Only the service that rebuilds has the account that may replace the database,
// and it is one of those that setup makes.
func TestComposeRebuildHasItsAccount(t *testing.T) {
	t.Parallel()
	if c := composeConfig(t, "rescind"); c.ClickHouse.RebuilderUser != "" || c.ClickHouse.RebuilderPassword != "" {
		t.Errorf("the service has the account %s", c.ClickHouse.RebuilderUser)
	}
	c := composeConfig(t, "rebuild")
	if user := c.ClickHouse.RebuilderUser; !slices.Contains(secrets.ClickHouseUsers(), user) || string(c.ClickHouse.RebuilderPassword) != "file:/secrets/clickhouse/"+user {
		t.Errorf("account %q with the password in %s", user, c.ClickHouse.RebuilderPassword)
	}
}

func TestComposeConfigurationIsValid(t *testing.T) {
	t.Parallel()
	c := composeConfig(t, "rescind")
	if c.NATS.URL != "nats://nats:4222" || c.ClickHouse.Addr != "clickhouse:9000" || !strings.HasSuffix(c.HTTP.Addr, ":8080") {
		t.Errorf("addresses: %s, %s, %s", c.NATS.URL, c.ClickHouse.Addr, c.HTTP.Addr)
	}
	if !slices.Equal(c.Roles, config.AllRoles()) {
		t.Errorf("roles: %v", c.Roles)
	}
}

// Every service that reads the keyring has the volume of its root: the folder of
// the volume with the other secrets that it would find in its place is empty.
func TestComposeRootIsItsVolume(t *testing.T) {
	t.Parallel()
	rooted := 0
	for name, s := range composeProject(t).Services {
		if s.Environment["RESCIND_KEYS_ROOT"] == nil {
			continue
		}
		c := composeConfig(t, name)
		dir, is := c.Keys.Root.Dir()
		if !is {
			continue
		}
		rooted++
		mounted := func(v types.ServiceVolumeConfig) bool { return v.Source == "keyring-root" && v.Target == dir }
		if !slices.ContainsFunc(s.Volumes, mounted) {
			t.Errorf("%s: keys.root is %s, where no volume keyring-root is mounted", name, dir)
		}
	}
	if rooted != 2 {
		t.Errorf("%d services have a keyring, want rescind and rebuild", rooted)
	}
}

// TestComposeCommandsParse holds the commands in the file to the real command
// line.
func TestComposeCommandsParse(t *testing.T) {
	t.Parallel()
	p := composeProject(t)
	lines := [][]string{p.Services["setup"].Command, p.Services["rescind"].Command, p.Services["rescind"].HealthCheck.Test[2:], p.Services["rebuild"].Command}
	for _, line := range lines {
		cmd, rest, err := newRoot(nil).Find(line)
		if err != nil || cmd.Name() == "rescind" {
			t.Errorf("%v: %v", line, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%v: %v", line, err)
		}
		if err := cmd.ValidateRequiredFlags(); err != nil {
			t.Errorf("%v: %v", line, err)
		}
	}
}

func TestComposeServices(t *testing.T) {
	t.Parallel()
	p := composeProject(t)
	images := map[string]string{"nats": `^nats:2\.15`, "clickhouse": `^clickhouse/clickhouse-server:26\.`, "rescind": `^rescind$`, "setup": `^rescind$`, "rebuild": `^rescind$`}
	for name, want := range images {
		s, ok := p.Services[name]
		if !ok || !regexp.MustCompile(want).MatchString(s.Image) {
			t.Errorf("%s: image %q, want %s", name, s.Image, want)
		}
		if name != "setup" && name != "rebuild" && s.HealthCheck == nil {
			t.Errorf("%s has no health check", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q: want loopback", name, port.Published, port.HostIP)
			}
		}
		for key, value := range s.Environment {
			if strings.Contains(key, "PASSWORD") && !strings.HasPrefix(*value, "file:") {
				t.Errorf("%s: %s holds a value", name, key)
			}
		}
	}
	for _, v := range []string{"secrets", "nats-data", "clickhouse-data"} {
		if _, ok := p.Volumes[v]; !ok {
			t.Errorf("no volume %s", v)
		}
	}
}
