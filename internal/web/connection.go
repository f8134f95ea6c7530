// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connection is an open connection of a client.
type connection struct {
	net.Conn
	clients *clients
	client  client
	close   func() error

	// The lock of clients is held for these.
	group   group
	number  uint64 // in the order in which they came
	serving bool   // a request is being answered
}

// listener counts what it accepts.
type listener struct {
	net.Listener
	clients *clients
}

// listen returns a listener whose connections are counted and limited.
func (cs *clients) listen(l net.Listener) net.Listener { return &listener{Listener: l, clients: cs} }

// Accept returns the next connection for which there is room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, clients: l.clients, client: l.clients.identify(conn), close: sync.OnceValue(conn.Close)}
		displaced := l.clients.admit(c)
		if displaced != nil {
			_ = displaced.close()
		}
		if displaced != c {
			return c, nil
		}
	}
}

// Close closes the connection and no longer counts it.
func (c *connection) Close() error {
	err := c.close()
	c.clients.mu.Lock()
	defer c.clients.mu.Unlock()
	delete(c.clients.open, c)
	return err
}

// setServing notes that a request is being answered, or no longer is.
func (c *connection) setServing(serving bool) {
	c.clients.mu.Lock()
	defer c.clients.mu.Unlock()
	c.serving = serving
}

// who returns the client of the connection, and its group.
func (c *connection) who() (client, group) {
	c.clients.mu.Lock()
	defer c.clients.mu.Unlock()
	return c.client, c.group
}

// connectionKey is the key of the connection in the context of its requests.
type connectionKey struct{}

// withConnection is the ConnContext of the servers.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if c, ok := conn.(*connection); ok {
		return context.WithValue(ctx, connectionKey{}, c)
	}
	return ctx
}

// connectionOf returns the connection of a request, nil where nobody counts.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// tracked keeps the connection of a request from being displaced meanwhile.
func tracked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connectionOf(r); c != nil {
			c.setServing(true)
			defer c.setServing(false)
		}
		h.ServeHTTP(w, r)
	})
}

// remembered makes acquaintances of those whose requests get here, which are
// authenticated.
func remembered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connectionOf(r); c != nil {
			c.clients.remember(c)
		}
		h.ServeHTTP(w, r)
	})
}
