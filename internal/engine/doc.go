// Package engine finds, installs, starts and stops a real ClickHouse.
package engine
