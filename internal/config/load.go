package config

import (
	"fmt"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const envPrefix = "RESCIND_"

// Field is one setting: its key in the file, and what it is.
type Field struct {
	Key    string // nats.url
	Desc   string
	Bounds string // 1m to 24h; empty where Desc says what it can be
	Type   reflect.Type
}

// Env is the environment variable of f.
func (f Field) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.Key, ".", "_"))
}

// Flag is the name of f as a flag, without dashes.
func (f Field) Flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(f.Key) }

// Fields lists every setting in the order of the struct.
func Fields() []Field { return fieldsOf("", reflect.TypeFor[Config]()) }

func fieldsOf(prefix string, t reflect.Type) []Field {
	var out []Field
	for f := range t.Fields() {
		key := prefix + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct {
			out = append(out, fieldsOf(key+".", f.Type)...)
			continue
		}
		out = append(out, Field{Key: key, Desc: f.Tag.Get("desc"), Bounds: f.Tag.Get("bounds"), Type: f.Type})
	}
	return out
}

// AddFlags declares a flag for every setting.
func AddFlags(fs *pflag.FlagSet) {
	for _, f := range Fields() {
		fs.String(f.Flag(), "", fmt.Sprintf("%s (%s)", f.Desc, f.Env()))
	}
}

// Source is where Load looks.
type Source struct {
	File    string         // YAML; "" for none
	Environ []string       // as os.Environ gives it
	Flags   *pflag.FlagSet // flags of AddFlags; nil for none
	Ignore  []string       // variables with our prefix that are not settings
}

// Load reads the configuration. It does not validate it.
func Load(s Source) (Config, error) {
	k := koanf.New(".")
	if s.File != "" {
		if err := k.Load(file.Provider(s.File), yaml.Parser()); err != nil {
			return Config{}, fmt.Errorf("configuration %s: %w", s.File, err)
		}
	}
	if err := loadEnviron(k, s); err != nil {
		return Config{}, err
	}
	if s.Flags != nil {
		for _, f := range Fields() {
			if given := s.Flags.Lookup(f.Flag()); given != nil && given.Changed {
				if err := k.Set(f.Key, given.Value.String()); err != nil {
					return Config{}, fmt.Errorf("flag --%s: %w", f.Flag(), err)
				}
			}
		}
	}
	return decode(k)
}

func loadEnviron(k *koanf.Koanf, s Source) error {
	fields := map[string]Field{}
	for _, f := range Fields() {
		fields[f.Env()] = f
	}
	var unknown []string
	for _, kv := range s.Environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || contains(s.Ignore, name) {
			continue
		}
		f, ok := fields[name]
		if !ok {
			if !serviceLink.MatchString(kv) {
				unknown = append(unknown, name)
			}
			continue
		}
		if err := k.Set(f.Key, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return fmt.Errorf("environment: no setting is named %s", strings.Join(unknown, ", "))
	}
	return nil
}

// serviceLink is a variable that Kubernetes sets in every pod beside a Service
// whose name begins with rescind. Its names alone would take in a misspelt setting,
// as RESCIND_HTTP_PORT=8080.
var serviceLink = regexp.MustCompile(`^RESCIND(_[A-Z0-9_]+)?_(` +
	`SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=[0-9]|` +
	`PORT=(tcp|udp|sctp)://|PORT_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?=)`)

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func decode(k *koanf.Koanf) (Config, error) {
	c := Default()
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, TagName: "koanf", WeaklyTypedInput: true, ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(","), refuseBareDuration),
	}})
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

// refuseBareDuration refuses a number where a duration is wanted: nobody could
// say whether it meant seconds or nanoseconds.
func refuseBareDuration(from, to reflect.Type, data any) (any, error) {
	if to == reflect.TypeFor[time.Duration]() && from != to {
		return nil, fmt.Errorf("%v has no unit: want a duration like 5s", data)
	}
	return data, nil
}
