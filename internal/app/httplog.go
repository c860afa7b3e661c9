package app

import (
	"log/slog"
	"regexp"
	"strings"
)

// serverLog is where net/http says what goes wrong with a connection. It names the
// peer, who may be a data subject.
type serverLog struct{ to *slog.Logger }

// address is host and port as net writes them.
var address = regexp.MustCompile(`\[[0-9a-fA-F:.]+(%[^\]]+)?\]:\d+|\b\d{1,3}(\.\d{1,3}){3}:\d+`)

// Write logs one line without addresses.
func (l serverLog) Write(line []byte) (int, error) {
	l.to.Warn("http server", "err", address.ReplaceAllLiteralString(strings.TrimSuffix(string(line), "\n"), "(peer)"))
	return len(line), nil
}
