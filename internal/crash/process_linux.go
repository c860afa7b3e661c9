package crash

import "syscall"

// attributes has the kernel kill the program when we die.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
