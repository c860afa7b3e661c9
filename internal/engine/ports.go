package engine

import (
	"fmt"
	"net"
	"strconv"
)

const loopback = "127.0.0.1"

// ports of one engine on loopback; 0 means not chosen yet.
type ports struct{ tcp, http int }

func (p ports) address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// choose returns p with free ports in place of zeros. Both are held open until
// both are known, so they differ. A port that p pins must be free now.
func (p ports) choose() (ports, error) {
	tcp, closeTCP, err := reserve("tcp", p.tcp)
	if err != nil {
		return ports{}, err
	}
	defer closeTCP()
	http, closeHTTP, err := reserve("http", p.http)
	if err != nil {
		return ports{}, err
	}
	defer closeHTTP()
	return ports{tcp: tcp, http: http}, nil
}

func reserve(name string, port int) (int, func(), error) {
	listener, err := net.Listen("tcp4", ports{}.address(port))
	if err != nil {
		return 0, nil, fmt.Errorf("%s port %d: %w: %w", name, port, errPortTaken, err)
	}
	return listener.Addr().(*net.TCPAddr).Port, func() { _ = listener.Close() }, nil
}
