package engine

import "os"

// childVariable is set for the re-executed process only, to the library's path.
const childVariable = "RESCIND_ENGINE_CHILD"

// settings returns the configuration for the ports as they are now.
func (e *Engine) settings() settings {
	return settings{
		layout:    e.layout,
		ports:     e.ports,
		users:     append([]User{e.admin}, e.cfg.Users...),
		maxMemory: e.cfg.MaxMemory,
		local:     e.location.Kind == KindLibrary,
	}
}

// command is what to execute: `clickhouse server`, or ourselves as the child
// that loads the library. Neither command line holds a secret.
func (e *Engine) command() (launchSpec, error) {
	spec := launchSpec{dir: e.layout.dir, env: e.childEnv(), nice: e.cfg.Nice}
	if e.location.Kind == KindBinary {
		spec.path = e.location.Path
		spec.args = []string{"server", "--config-file=" + e.layout.config}
		return spec, nil
	}
	self, err := selfPath()
	if err != nil {
		return launchSpec{}, err
	}
	spec.path, spec.stdinStops = self, true
	spec.env = append(spec.env, childVariable+"="+e.location.Path)
	spec.args = []string{
		"--config-file=" + e.layout.config,
		"--interactive", // see library_run.go
		"--queries-file=" + e.layout.start,
		"--history_file=" + os.DevNull,
		"--progress=off", "--progress-table=off",
	}
	return spec, nil
}

// childEnv passes on what a process needs and no secret of ours.
func (e *Engine) childEnv() []string {
	env := []string{"HOME=" + e.layout.dir, "TZ=UTC", "TERM=dumb"}
	for _, name := range []string{"PATH", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "GORACE", "GOTRACEBACK", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
