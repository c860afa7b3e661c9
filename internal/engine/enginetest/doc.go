// Package enginetest gives tests a real ClickHouse.
package enginetest
