// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/task"
)

// DefaultAddress is the address of the control socket. An abstract socket
// belongs to the network namespace, as the daemon does: the commands reach the
// daemon that answers where they run, also from the host into a pod of the
// host's network, and a killed daemon leaves no file behind.
const DefaultAddress = "@ndproxyd"

const (
	// exchangeTimeout bounds how long a client may take to send a request or to
	// receive an answer.
	exchangeTimeout = 10 * time.Second
	// headerTimeout bounds how long the headers of a request may take, and
	// idleTimeout how long a connection may do nothing. The commands send at
	// once and close.
	headerTimeout, idleTimeout = 2 * time.Second, 2 * time.Second
	// maxHeader bounds the headers of a request, in bytes. A request of the
	// commands has about 200.
	maxHeader = 4 << 10
)

// Options are what a Server runs with.
type Options struct {
	// Address is where the server listens: a path, or @NAME for an abstract
	// socket of the network namespace; "" for nowhere.
	Address string
	// Daemon answers the requests.
	Daemon Daemon
	// Log receives a line when the socket cannot be had, and when it can again.
	Log *slog.Logger
}

// Server serves the control socket. It is a task.Task.
type Server struct {
	options  Options
	timeouts timeouts
}

// timeouts bound what a client may take. They are parameters, for tests that are
// not about time, and go on for longer on a slow machine.
type timeouts struct{ header, idle, exchange time.Duration }

// usual returns the timeouts of the daemon.
func usual() timeouts {
	return timeouts{header: headerTimeout, idle: idleTimeout, exchange: exchangeTimeout}
}

// New returns a server, which listens once it runs.
func New(o Options) *Server { return &Server{options: o, timeouts: usual()} }

// Run serves until ctx ends, and returns nil then. The daemon goes on without
// the socket, so an address that another process has, or a listener that fails,
// is tried again.
func (s *Server) Run(ctx context.Context) error {
	if s.options.Address == "" {
		<-ctx.Done()
		return nil
	}
	var retry task.Backoff
	var logged string // the last error, so that it is logged once
	for ctx.Err() == nil {
		err := s.serve(ctx, func() {
			retry.Reset()
			if logged != "" {
				s.options.Log.Info("the control socket is served", "address", s.options.Address)
			}
			logged = ""
		})
		if err == nil {
			continue
		}
		if err.Error() != logged {
			logged = err.Error()
			s.options.Log.Warn("no control socket, which is tried again: status and explain do not reach this daemon", "address", s.options.Address, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry.Next()):
		}
	}
	return nil
}

// Ready returns nil: a node does its part without a control socket.
func (s *Server) Ready() error { return nil }

func (s *Server) String() string { return "control socket" }

// serve listens and serves until ctx ends, and returns nil then.
func (s *Server) serve(ctx context.Context, listening func()) error {
	if err := removeStale(s.options.Address); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", s.options.Address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	listening()
	return serveOn(ctx, newGate(l), newHandler(s.options.Daemon), s.timeouts, s.options.Log)
}

// serveOn serves on a listener until ctx ends, and returns nil then.
func serveOn(ctx context.Context, l net.Listener, h http.Handler, ts timeouts, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: ts.header,
		ReadTimeout:       ts.exchange,
		WriteTimeout:      ts.exchange,
		IdleTimeout:       ts.idle,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	// Without a free descriptor net/http waits, up to a second, and accepts again.
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(fmt.Errorf("serve: %w", err), server.Close())
	}
	return nil
}

// removeStale removes the socket file of a daemon that was killed. An abstract
// socket has none, and a socket that somebody serves is left alone.
func removeStale(address string) error {
	if address[0] == '@' {
		return nil
	}
	conn, err := net.Dial("unix", address)
	if err == nil {
		return errors.Join(errors.New("another process serves it"), conn.Close())
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	info, err := os.Lstat(address)
	if err != nil {
		return fmt.Errorf("look at the socket's file: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", address)
	}
	return os.Remove(address)
}
