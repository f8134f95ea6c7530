// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/task"
)

const (
	// headerTimeout bounds the TLS handshake and the headers of a request, and
	// idleTimeout the time between two requests of a connection.
	headerTimeout, idleTimeout = 3 * time.Second, 5 * time.Second
	// exchangeTimeout bounds how long a client may take for a request, and the
	// making and sending of an answer.
	exchangeTimeout = 10 * time.Second
	// maxHeader bounds the headers of a request in bytes, maxTokenHeader where
	// they may contain a token of an API server.
	maxHeader, maxTokenHeader = 4 << 10, 32 << 10
)

// timeouts bound what a client may take. They are parameters, for tests that are
// not about time, and go on for longer on a slow machine.
type timeouts struct{ header, idle, exchange time.Duration }

// endpoint serves pages at an address that a reload may change. It is a
// task.Task.
type endpoint struct {
	name      string
	maxHeader int // bytes
	timeouts  timeouts
	log       *slog.Logger
	handler   func(config.Endpoint) http.Handler
	clients   *clients

	mu      sync.Mutex
	config  config.Endpoint
	changed chan struct{} // closed when config is replaced
}

func newEndpoint(name string, maxHeader int, log *slog.Logger, handler func(config.Endpoint) http.Handler) *endpoint {
	return &endpoint{
		name: name, maxHeader: maxHeader, log: log, handler: handler,
		timeouts: timeouts{header: headerTimeout, idle: idleTimeout, exchange: exchangeTimeout},
		clients:  newClients(localUser), changed: make(chan struct{}),
	}
}

// set replaces the settings. Connections end, unless the settings are the same.
func (e *endpoint) set(c config.Endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config != c {
		close(e.changed)
		e.config, e.changed = c, make(chan struct{})
	}
}

func (e *endpoint) get() (config.Endpoint, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config, e.changed
}

// Run serves the pages until ctx ends, and returns nil then. The daemon answers
// without them, so an address that cannot be had is tried again.
func (e *endpoint) Run(ctx context.Context) error {
	var retry task.Backoff
	var logged string // the last error, so that it is logged once
	for ctx.Err() == nil {
		c, changed := e.get()
		serving, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-changed:
			case <-serving.Done():
			}
			cancel()
		}()
		if c.Listen == "" {
			<-serving.Done()
		} else if err := e.serve(serving, c, func(a net.Addr) {
			retry.Reset()
			logged = ""
			e.log.Info("serving "+e.name, "address", a.String(), "tls", c.TLS || c.Review)
		}); err != nil {
			if err.Error() != logged {
				logged = err.Error()
				e.log.Warn("serving "+e.name+" failed, which is tried again", "address", c.Listen, "err", err)
			}
			select {
			case <-time.After(retry.Next()):
			case <-serving.Done():
			}
		}
		cancel()
	}
	return nil
}

// Ready returns nil: a node does its part without pages.
func (e *endpoint) Ready() error { return nil }

func (e *endpoint) String() string { return e.name + " endpoint" }

// serve listens and serves until ctx ends, and returns nil then.
func (e *endpoint) serve(ctx context.Context, c config.Endpoint, listening func(net.Addr)) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	listening(l.Addr())
	return e.serveOn(ctx, l, c)
}

// serveOn serves on a listener until ctx ends. Without a free descriptor net/http
// waits, up to a second, and accepts again.
func (e *endpoint) serveOn(ctx context.Context, l net.Listener, c config.Endpoint) error {
	l = e.clients.listen(l)
	if c.Review && c.WebConfig == "" {
		certificate, err := selfSigned(time.Now())
		if err != nil {
			return errors.Join(err, l.Close())
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	}
	server := e.newServer(c)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	systemd := false
	flags := &web.FlagConfig{WebListenAddresses: &[]string{c.Listen}, WebSystemdSocket: &systemd, WebConfigFile: &c.WebConfig}
	if err := web.Serve(l, server, flags, slog.New(slog.DiscardHandler)); !errors.Is(err, http.ErrServerClosed) {
		_ = l.Close() // which Serve does, unless the settings were wrong
		return errors.Join(fmt.Errorf("serve: %w", err), server.Close())
	}
	return nil
}

func (e *endpoint) newServer(c config.Endpoint) *http.Server {
	// Hundreds of requests fit into one connection of HTTP/2, and the limits are
	// of connections. No scraper and no probe needs it.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           tracked(e.handler(c)),
		Protocols:         protocols,
		ConnContext:       withConnection,
		ReadHeaderTimeout: e.timeouts.header,
		ReadTimeout:       e.timeouts.exchange,
		WriteTimeout:      e.timeouts.exchange,
		IdleTimeout:       e.timeouts.idle,
		MaxHeaderBytes:    e.maxHeader,
		// Handshakes that fail are what the Internet does to a public port.
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
}
