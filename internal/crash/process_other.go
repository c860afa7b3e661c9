//go:build !linux

package crash

import "syscall"

// attributes is nothing: a test that is killed leaves its processes behind.
func attributes() *syscall.SysProcAttr { return nil }
