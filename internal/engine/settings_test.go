package engine

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func sampleSettings(local bool) settings {
	return settings{
		layout:    layout{data: "/d/data", tmp: "/d/tmp", files: "/d/files", users: "/d/users.xml", log: "/d/a&b.log"},
		ports:     ports{tcp: 9000, http: 8123},
		maxMemory: 1 << 30,
		local:     local,
		users: []User{{
			Name: "writer", Password: "pw",
			Grants:   []string{"INSERT ON `a<b`.*", "grant SELECT ON x.*"},
			Settings: map[string]string{"async_insert": "1", "max_threads": "<2>"},
		}},
	}
}

// values reads XML into path → texts, which is what the server sees of it.
func values(t *testing.T, doc []byte) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	var path []string
	dec := xml.NewDecoder(strings.NewReader(string(doc)))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		switch token := token.(type) {
		case xml.StartElement:
			path = append(path, token.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				key := strings.Join(path[1:], ".")
				got[key] = append(got[key], text)
			}
		}
	}
}

func TestUsersXML(t *testing.T) {
	got := values(t, sampleSettings(true).usersXML())
	want := map[string][]string{
		"users.default.networks.ip":                      {"127.0.0.1"},
		"users.default.profile":                          {"local_session"},
		"users.default.grants.query":                     {"GRANT SYSTEM LISTEN ON *.*"},
		"profiles.local_session.max_sessions_for_user":   {"1"},
		"users.writer.password_sha256_hex":               {"30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4"},
		"users.writer.grants.query":                      {"GRANT INSERT ON `a<b`.*", "grant SELECT ON x.*"},
		"users.writer.profile":                           {"profile_writer"},
		"users.writer.networks.ip":                       {"127.0.0.1", "::1"},
		"profiles.profile_writer.async_insert":           {"1"},
		"profiles.profile_writer.max_threads":            {"<2>"},
		"profiles.profile_writer.implicit_select":        {"0"},
		"profiles.default.async_insert":                  {"0"},
		"profiles.default.allow_introspection_functions": {"0"},
	}
	for path, texts := range want {
		if diff := cmp.Diff(texts, got[path]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestServerHasNoDefaultUser: a real server needs no session of its own.
func TestServerHasNoDefaultUser(t *testing.T) {
	doc := string(sampleSettings(false).usersXML())
	if strings.Contains(doc, "no_password") || strings.Contains(doc, "max_sessions_for_user") {
		t.Errorf("users.xml of a server holds the local session's user:\n%s", doc)
	}
}

func TestConfigXML(t *testing.T) {
	got := values(t, sampleSettings(true).configXML())
	want := map[string]string{
		"path":                            "/d/data/",
		"listen_host":                     "127.0.0.1",
		"tcp_port":                        "9000",
		"http_port":                       "8123",
		"timezone":                        "UTC",
		"max_server_memory_usage":         "1073741824",
		"logger.log":                      "/d/a&b.log",
		"logger.size":                     "8M",
		"logger.count":                    "1",
		"user_directories.users_xml.path": "/d/users.xml",
		"access_control_improvements.table_engines_require_grant":       "true",
		"merge_tree.number_of_free_entries_in_pool_to_execute_mutation": "1",
	}
	for path, text := range want {
		if diff := cmp.Diff([]string{text}, got[path]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for path := range got {
		if strings.HasSuffix(path, "_log") || strings.Contains(path, "mysql") || strings.Contains(path, "interserver") {
			t.Errorf("%s is configured", path)
		}
	}
}

// TestTextIsEscaped: whatever a path, grant or setting holds, the server reads
// it back as it was.
func TestTextIsEscaped(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab<>&\"']]>/ é\n\t"))).Draw(rt, "text")
		doc := node("root", leaf("a", text)).document()
		var got struct {
			A string `xml:"a"`
		}
		if err := xml.Unmarshal(doc, &got); err != nil {
			rt.Fatalf("%v in %s", err, doc)
		}
		if got.A != text {
			rt.Fatalf("%q came back as %q", text, got.A)
		}
	})
}

func TestValidate(t *testing.T) {
	ok := User{Name: "writer", Password: "p"}
	tests := []struct {
		name string
		cfg  Config
		want []string
	}{
		{"least", Config{Dir: "d"}, nil},
		{"all", Config{Dir: "d", TCPPort: 1, HTTPPort: 65535, MaxMemory: minMaxMemory, Users: []User{ok}}, nil},
		{"several at once", Config{TCPPort: -1, HTTPPort: 65536}, []string{"dir is empty", "port -1", "port 65536"}},
		{"same ports", Config{Dir: "d", TCPPort: 9, HTTPPort: 9}, []string{"both 9"}},
		{"memory", Config{Dir: "d", MaxMemory: minMaxMemory - 1}, []string{"max memory"}},
		{"nice", Config{Dir: "d", Nice: 20}, []string{"nice 20"}},
		{"default", Config{Dir: "d", Users: []User{{Name: "default", Password: "p"}}}, []string{`"default": name is taken`}},
		{"admin", Config{Dir: "d", Users: []User{{Name: adminUser, Password: "p"}}}, []string{"name is taken"}},
		{"twice", Config{Dir: "d", Users: []User{ok, ok}}, []string{"name is taken"}},
		{"no password", Config{Dir: "d", Users: []User{{Name: "a"}}}, []string{"password is empty"}},
		{"markup as name", Config{Dir: "d", Users: []User{{Name: "a><b", Password: "p"}}}, []string{"does not match"}},
		{"markup as setting", Config{Dir: "d", Users: []User{{Name: "a", Password: "p", Settings: map[string]string{"a/": ""}}}}, []string{`setting "a/"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.cfg.Validate()
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("Validate = %v, want %q", err, tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Validate = %v, want %q in it", err, part)
				}
			}
		})
	}
}

func TestQuoteName(t *testing.T) {
	for name, want := range map[string]string{
		"facts": "`facts`",
		"a`b":   "`a\\`b`",
		`a\b`:   "`a\\\\b`",
	} {
		if got := quoteName(name); got != want {
			t.Errorf("quoteName(%q) = %s, want %s", name, got, want)
		}
	}
}
