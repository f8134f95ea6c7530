// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/process"
)

const (
	// maxConnections bounds the connections of one user. A command takes one.
	maxConnections = 16
	// maxRefusals bounds how many connections are told at a time why they are
	// refused. Any more are closed without a word.
	maxRefusals = 4
	// refusalTimeout bounds how long one of them takes.
	refusalTimeout = time.Second
	// refusalRead is how much of a refused request is read, in bytes. HTTP
	// clients do not expect an answer before they have sent their request.
	refusalRead = 1 << 10
)

// gate is a listener that lets only those users through whom the daemon serves,
// each with few connections. Everybody else is refused without HTTP.
type gate struct {
	net.Listener
	refusals chan struct{} // one for each connection that is being refused

	mu   sync.Mutex
	open map[uint32]int // connections by user
}

func newGate(l net.Listener) *gate {
	return &gate{Listener: l, refusals: make(chan struct{}, maxRefusals), open: make(map[uint32]int)}
}

// Accept returns the next connection of a user whom the daemon serves.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, err := process.PeerOf(conn.(*net.UnixConn))
		switch {
		case err != nil || !process.Trusted(peer.Uid):
			g.refuse(conn, http.StatusForbidden, "the daemon talks to root and to its own user only")
		case !g.enter(peer.Uid):
			g.refuse(conn, http.StatusServiceUnavailable, "this user has too many connections to the daemon")
		default:
			return &gateConn{Conn: conn, leave: sync.OnceFunc(func() { g.leave(peer.Uid) })}, nil
		}
	}
}

// enter counts a connection of a user, and reports whether it may be.
func (g *gate) enter(uid uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[uid] >= maxConnections {
		return false
	}
	g.open[uid]++
	return true
}

func (g *gate) leave(uid uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[uid]--; g.open[uid] == 0 {
		delete(g.open, uid)
	}
}

// refuse closes a connection, and tells its peer why while few are told.
func (g *gate) refuse(conn net.Conn, code int, why string) {
	select {
	case g.refusals <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	go func() {
		defer func() { <-g.refusals }()
		defer conn.Close() //nolint:errcheck // the peer is refused
		_ = conn.SetDeadline(time.Now().Add(refusalTimeout))
		_, _ = conn.Read(make([]byte, refusalRead))
		_, _ = io.WriteString(conn, refusal(code, why))
	}()
}

// refusal is a whole HTTP response.
func refusal(code int, why string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		code, http.StatusText(code), len(why), why)
}

// gateConn is a connection that is counted until it is closed.
type gateConn struct {
	net.Conn
	leave func()
}

func (c *gateConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
