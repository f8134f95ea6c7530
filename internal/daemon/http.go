// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpTimeout bounds how long a client may take for a request or an answer.
const httpTimeout = 10 * time.Second

// listenAddress is the configured address of the metrics endpoint. A reload may
// change it.
type listenAddress struct {
	mu      sync.Mutex
	address string
	changed chan struct{} // closed when address is no longer right
}

func (l *listenAddress) set(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed != nil && l.address == address {
		return
	}
	if l.changed != nil {
		close(l.changed)
	}
	l.address, l.changed = address, make(chan struct{})
}

func (l *listenAddress) get() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.address, l.changed
}

// serveMetrics serves HTTP until ctx ends. An address that cannot be had now is
// tried again: metrics must not stop the answers.
func (d *daemon) serveMetrics(ctx context.Context) error {
	handler := d.handler()
	var retry backoff
	var said string // the last trouble, which is logged once
	for ctx.Err() == nil {
		address, changed := d.listen.get()
		serveCtx, cancel := context.WithCancel(ctx)
		go func() {
			select {
			case <-changed:
			case <-serveCtx.Done():
			}
			cancel()
		}()
		var err error
		if address == "" {
			<-serveCtx.Done()
		} else {
			err = serve(serveCtx, "tcp", address, newServer(handler), func(a net.Addr) {
				retry.reset()
				said = ""
				d.log.Info("serving metrics", "address", a.String())
			})
		}
		if err != nil {
			if said != err.Error() {
				said = err.Error()
				d.log.Warn("metrics are not served, which is tried again", "address", address, "err", err)
			}
			select {
			case <-time.After(retry.next()):
			case <-serveCtx.Done():
			}
		}
		cancel()
	}
	return nil
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: httpTimeout, ReadTimeout: httpTimeout, WriteTimeout: httpTimeout}
}

// serve serves HTTP on an address until ctx ends, and returns nil then. It
// calls listening, unless that is nil, once the address is open.
func serve(ctx context.Context, network, address string, server *http.Server, listening func(net.Addr)) error {
	l, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if listening != nil {
		listening(l.Addr())
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// handler returns the pages of the metrics endpoint.
func (d *daemon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry(), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := d.alive(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := d.status()
		if !s.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		for _, u := range s.Uplinks {
			_, _ = fmt.Fprintln(w, u.Interface, u.State, u.Why)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, indexPage(d.status()))
	})
	return mux
}

// indexPage is the page at the root. It is written by hand, since the linker keeps
// every method of every type in a program that has templates.
func indexPage(s Status) string {
	var b strings.Builder
	text := html.EscapeString
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ndproxyd</title></head><body>
<h1>ndproxyd %s</h1>
<p>%d rules from %s, running since %s.</p>
<table border="1" cellpadding="4"><tr><th>uplink<th>state<th>received<th>answered</tr>
`, text(s.Version.Version), s.Rules, text(s.Config), s.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	for _, u := range s.Uplinks {
		fmt.Fprintf(&b, "<tr><td>%s<td>%s %s<td>%d<td>%d</tr>\n", text(u.Interface), text(u.State), text(u.Why), u.Received, u.Answered)
	}
	b.WriteString(`</table>
<p><a href="/metrics">metrics</a> · <a href="/readyz">ready</a> · <a href="/healthz">healthy</a></p>
</body></html>
`)
	return b.String()
}
