package natsd

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/nats-io/jwt/v2"
)

// Deployment is what a nats-server that we do not embed needs so that it knows
// our roles: its configuration, and the credentials of each role.
type Deployment struct {
	Config []byte          // nats.conf: public keys and permissions, no secret
	Creds  map[Role]string // path of the credentials file
}

// Deploy makes the keys in dir/nats, or finds them, and writes a configuration
// for them: JetStream in storeDir, written to the disk before each
// acknowledgement, clients on port 4222, health on 8222 of loopback. The roles
// may reach the logs of so many shards.
func Deploy(dir, storeDir string, shards int) (Deployment, error) {
	id, err := openIdentity(filepath.Join(dir, "nats"))
	if err != nil {
		return Deployment{}, fmt.Errorf("nats server keys: %w", err)
	}
	id.shards = max(shards, 1)
	config, err := id.serverConfig(storeDir)
	if err != nil {
		return Deployment{}, fmt.Errorf("nats server configuration: %w", err)
	}
	return Deployment{Config: config, Creds: id.creds}, nil
}

func (id *identity) serverConfig(storeDir string) ([]byte, error) {
	operator := jwt.NewOperatorClaims(public(id.operator))
	operator.Name = "rescind"
	operator.SystemAccount = public(id.system)
	token, err := operator.Encode(id.operator)
	if err != nil {
		return nil, err
	}
	resolver, err := id.resolver()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "server_name: rescind\nlisten: 0.0.0.0:4222\nhttp: 127.0.0.1:8222\nmax_payload: %d\n", MaxPayload)
	fmt.Fprintf(&b, "jetstream {\n  store_dir: %q\n  sync_interval: always\n}\n", storeDir)
	fmt.Fprintf(&b, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload {\n", token, public(id.system))
	keys := []string{public(id.system)}
	for _, a := range accounts() {
		keys = append(keys, public(id.accounts[a]))
	}
	for _, key := range keys {
		token, err := resolver.Fetch(key)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  %s: %s\n", key, token)
	}
	b.WriteString("}\n")
	return b.Bytes(), nil
}
