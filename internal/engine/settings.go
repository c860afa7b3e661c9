package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// namePattern is what an account or a setting may be called: both become XML
// element names, where nothing can be escaped.
var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// pins are the profile settings where `clickhouse local`, or ClickHouse 26,
// differs from the server that we promise. A user's own settings go over them.
func pins() map[string]string {
	return map[string]string{
		// 26.x defaults to 1; an acknowledged insert must be in the table.
		"async_insert": "0",
		// local turns these two on: `1` would be a query, and addresses would show.
		"implicit_select":               "0",
		"allow_introspection_functions": "0",
		// The profilers send signals to threads that the Go runtime shares.
		"query_profiler_real_time_period_ns": "0",
		"query_profiler_cpu_time_period_ns":  "0",
	}
}

// settings is what one configuration of the server depends on.
type settings struct {
	layout    layout
	ports     ports
	users     []User
	maxMemory int64
	// local: for the library, where a user "default" must exist.
	local bool
}

// element is XML to be: a name and either text or children. Text is escaped
// when written; names are ours or match namePattern.
type element struct {
	name     string
	text     string
	children []element
}

func leaf(name, text string) element { return element{name: name, text: text} }

func number(name string, n int64) element { return leaf(name, strconv.FormatInt(n, 10)) }

func node(name string, children ...element) element { return element{name: name, children: children} }

func (el element) write(b *bytes.Buffer, indent string) {
	fmt.Fprintf(b, "%s<%s>", indent, el.name)
	if len(el.children) > 0 {
		b.WriteByte('\n')
		for _, c := range el.children {
			c.write(b, indent+"  ")
		}
		b.WriteString(indent)
	} else {
		_ = xml.EscapeText(b, []byte(el.text)) // a bytes.Buffer does not fail
	}
	fmt.Fprintf(b, "</%s>\n", el.name)
}

func (el element) document() []byte {
	var b bytes.Buffer
	el.write(&b, "")
	return b.Bytes()
}

// configXML is the server's configuration, the same one for the library and for
// `clickhouse server`. It opens the native and HTTP listeners on loopback and
// nothing else, and keeps no system log tables: they grow without bound, and
// what they tell is in the log file. Caches and pools are for a laptop with two
// cores; the merge_tree lines follow from the small pool, for a server refuses
// thresholds above its pool size.
func (s settings) configXML() []byte {
	l := s.layout
	root := node("clickhouse",
		leaf("log-level", "information"), // what clickhouse local reads
		node("logger",
			leaf("level", "information"), // what clickhouse server reads
			leaf("log", l.log), leaf("size", "8M"), leaf("count", "1"), leaf("console", "0")),
		leaf("path", l.data+"/"),
		leaf("tmp_path", l.tmp+"/"),
		leaf("user_files_path", l.files+"/"),
		leaf("timezone", "UTC"),
		leaf("listen_host", loopback),
		number("tcp_port", int64(s.ports.tcp)),
		number("http_port", int64(s.ports.http)),
		node("user_directories", node("users_xml", leaf("path", l.users))),
		leaf("default_profile", "default"),
		node("access_control_improvements", strictAccess()...),
	)
	root.children = append(root.children, modest(s.maxMemory)...)
	return root.document()
}

// strictAccess makes the server ask for a grant where old versions did not.
func strictAccess() []element {
	var out []element
	for _, name := range []string{
		"users_without_row_policies_can_read_rows", "on_cluster_queries_require_cluster_grant",
		"select_from_system_db_requires_grant", "select_from_information_schema_requires_grant",
		"settings_constraints_replace_previous", "table_engines_require_grant",
	} {
		out = append(out, leaf(name, "true"))
	}
	return out
}

// modest bounds memory, caches and background threads.
func modest(maxMemory int64) []element {
	return []element{
		number("max_server_memory_usage", maxMemory),
		number("mark_cache_size", 64<<20),
		number("index_mark_cache_size", 16<<20),
		number("primary_index_cache_size", 32<<20),
		number("uncompressed_cache_size", 0),
		number("index_uncompressed_cache_size", 0),
		number("mmap_cache_size", 64),
		number("compiled_expression_cache_size", 16<<20),
		number("max_connections", 512),
		number("background_pool_size", 2),
		number("background_merges_mutations_concurrency_ratio", 2),
		number("background_move_pool_size", 1),
		number("background_fetches_pool_size", 1),
		number("background_common_pool_size", 2),
		number("background_buffer_flush_schedule_pool_size", 1),
		number("background_message_broker_schedule_pool_size", 1),
		number("background_distributed_schedule_pool_size", 2),
		number("background_schedule_pool_size", 4),
		node("merge_tree",
			number("number_of_free_entries_in_pool_to_execute_mutation", 1),
			number("number_of_free_entries_in_pool_to_lower_max_size_of_merge", 1),
			number("number_of_free_entries_in_pool_to_execute_optimize_entire_partition", 1)),
	}
}

// usersXML holds accounts, as hashes of their passwords, and profiles.
func (s settings) usersXML() []byte {
	profiles := node("profiles", profile("default", pins()))
	users := node("users")
	if s.local {
		profiles.children = append(profiles.children, profile("local_session", localSessionSettings()))
		users.children = append(users.children, localSessionUser())
	}
	for _, u := range s.users {
		own := pins()
		maps.Copy(own, u.Settings)
		profiles.children = append(profiles.children, profile("profile_"+u.Name, own))
		users.children = append(users.children, u.element())
	}
	return node("clickhouse", profiles, node("quotas", node("default")), users).document()
}

func profile(name string, values map[string]string) element {
	el := node(name)
	for _, setting := range slices.Sorted(maps.Keys(values)) {
		el.children = append(el.children, leaf(setting, values[setting]))
	}
	return el
}

// localSessionUser is the user that `clickhouse local` logs its own session in
// as: it must be called default, have no password, and be allowed from
// 127.0.0.1, which is where that session claims to come from, so a host rule
// cannot tell it from a client. Two other things do: it may hold one session,
// which its own takes for as long as the engine runs, so every further login is
// refused with code 700; and it may do nothing but open listeners.
func localSessionUser() element {
	return node("default",
		leaf("no_password", ""),
		node("networks", leaf("ip", loopback)),
		leaf("profile", "local_session"), leaf("quota", "default"),
		node("grants", leaf("query", "GRANT SYSTEM LISTEN ON *.*")))
}

func localSessionSettings() map[string]string {
	own := pins()
	own["max_sessions_for_user"] = "1"
	return own
}

func (u User) element() element {
	sum := sha256.Sum256([]byte(u.Password))
	grants := node("grants") // present even when empty: absent would mean all rights
	for _, g := range u.Grants {
		grants.children = append(grants.children, leaf("query", grantStatement(g)))
	}
	return node(u.Name,
		leaf("password_sha256_hex", hex.EncodeToString(sum[:])),
		node("networks", leaf("ip", loopback), leaf("ip", "::1")),
		leaf("profile", "profile_"+u.Name), leaf("quota", "default"), grants)
}

func grantStatement(g string) string {
	g = strings.TrimSpace(g)
	if len(g) >= 6 && strings.EqualFold(g[:6], "GRANT ") {
		return g
	}
	return "GRANT " + g
}

// startSQL opens the listeners of the library; the native one last, since that
// is the one we wait for.
const startSQL = "SYSTEM START LISTEN HTTP;\nSYSTEM START LISTEN TCP;\n"

func validateUsers(users []User) error {
	var errs []error
	seen := map[string]bool{"default": true, adminUser: true}
	for _, u := range users {
		switch {
		case !namePattern.MatchString(u.Name):
			errs = append(errs, fmt.Errorf("user %q: name does not match %s", u.Name, namePattern))
		case seen[u.Name]:
			errs = append(errs, fmt.Errorf("user %q: name is taken", u.Name))
		case u.Password == "":
			errs = append(errs, fmt.Errorf("user %q: password is empty", u.Name))
		}
		seen[u.Name] = true
		for setting := range u.Settings {
			if !namePattern.MatchString(setting) {
				errs = append(errs, fmt.Errorf("user %q: setting %q does not match %s", u.Name, setting, namePattern))
			}
		}
	}
	return errors.Join(errs...)
}
