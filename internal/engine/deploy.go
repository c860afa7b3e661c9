package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// UsersXML is a users.d file for a clickhouse-server that we do not run:
// accounts as hashes of their passwords, with their grants, that may log in
// from anywhere the server listens, and no account "default".
func UsersXML(users []User) ([]byte, error) {
	if err := validateUsers(users); err != nil {
		return nil, fmt.Errorf("clickhouse users: %w", err)
	}
	profiles, accounts := node("profiles"), node("users")
	for _, u := range users {
		own := map[string]string{"async_insert": "0"}
		maps.Copy(own, u.Settings)
		profiles.children = append(profiles.children, profile("profile_"+u.Name, own))
		account := u.element()
		i := slices.IndexFunc(account.children, func(c element) bool { return c.name == "networks" })
		account.children[i] = node("networks", leaf("ip", "::/0"))
		accounts.children = append(accounts.children, account)
	}
	doc := node("clickhouse", profiles, accounts).document()
	return []byte(removeDefault(string(doc))), nil
}

// removeDefault takes away the account that a stock server comes with. The
// attribute that says so is the only one we write.
func removeDefault(doc string) string {
	const users = "  <users>\n"
	at := strings.Index(doc, users) + len(users)
	return doc[:at] + "    <default remove=\"1\"/>\n" + doc[at:]
}
