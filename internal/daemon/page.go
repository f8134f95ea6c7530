// SPDX-License-Identifier: Apache-2.0

package daemon

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
	"golang.org/x/net/netutil"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// httpTimeout bounds how long a client may take for a request or an answer.
const httpTimeout = 10 * time.Second

// maxConnections bounds the clients of a page at a time. The address may be public.
const maxConnections = 64

// page is where something is served. A reload may change it.
type page struct {
	mu       sync.Mutex
	endpoint config.Endpoint
	changed  chan struct{} // closed when endpoint is no longer right
}

func (p *page) set(e config.Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed != nil && p.endpoint == e {
		return
	}
	if p.changed != nil {
		close(p.changed)
	}
	p.endpoint, p.changed = e, make(chan struct{})
}

func (p *page) get() (config.Endpoint, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endpoint, p.changed
}

// servePage serves HTTP until ctx ends. An address that cannot be had now is
// tried again: what is shown must not stop the answers.
func (d *daemon) servePage(ctx context.Context, name string, p *page, handler func(config.Endpoint) http.Handler) error {
	var retry backoff
	var said string // the last trouble, which is logged once
	for ctx.Err() == nil {
		e, changed := p.get()
		serveCtx, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-changed:
			case <-serveCtx.Done():
			}
			cancel()
		}()
		var err error
		if e.Listen == "" {
			<-serveCtx.Done()
		} else {
			err = d.serveEndpoint(serveCtx, e, handler(e), func(a net.Addr) {
				retry.Reset()
				said = ""
				d.log.Info("serving "+name, "address", a.String(), "tls", e.TLS || e.Review)
			})
		}
		if err != nil {
			if said != err.Error() {
				said = err.Error()
				d.log.Warn(name+" is not served, which is tried again", "address", e.Listen, "err", err)
			}
			select {
			case <-time.After(retry.Next()):
			case <-serveCtx.Done():
			}
		}
		cancel()
	}
	return nil
}

// serveEndpoint serves one endpoint until ctx ends, and returns nil then.
func (d *daemon) serveEndpoint(ctx context.Context, e config.Endpoint, handler http.Handler, listening func(net.Addr)) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", e.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l = netutil.LimitListener(l, maxConnections)
	if e.Review && e.WebConfig == "" {
		certificate, err := selfSigned(time.Now())
		if err != nil {
			return errors.Join(err, l.Close())
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	}
	server := newServer(handler)
	// Handshakes that fail are what the Internet does to a public port.
	server.ErrorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)
	listening(l.Addr())
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	systemd := false
	flags := &web.FlagConfig{WebListenAddresses: &[]string{e.Listen}, WebSystemdSocket: &systemd, WebConfigFile: &e.WebConfig}
	if err := web.Serve(l, server, flags, slog.New(slog.DiscardHandler)); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(fmt.Errorf("serve: %w", err), l.Close())
	}
	return nil
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: httpTimeout, ReadTimeout: httpTimeout, WriteTimeout: httpTimeout}
}
