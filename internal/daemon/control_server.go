// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// DefaultControl is the address of the control socket. An abstract socket
// belongs to the network namespace, as the daemon does: the commands reach the
// daemon that answers where they run, also from the host into a pod of the
// host's network, and a killed daemon leaves no file behind.
const DefaultControl = "@ndproxyd"

// serveControl answers the commands until ctx ends. Without the socket the
// daemon goes on: it is a convenience.
func (d *daemon) serveControl(ctx context.Context) error {
	address := d.options.Control
	if address == "" {
		return nil
	}
	err := d.claim(address)
	if err == nil {
		server := newServer(d.controlHandler())
		server.ConnContext = withPeer
		err = serveControl(ctx, address, server)
	}
	if err != nil {
		d.log.Warn("no control socket: status and explain do not reach this daemon", "address", address, "err", err)
	}
	return nil
}

// serveControl serves HTTP on a socket until ctx ends, and returns nil then.
func serveControl(ctx context.Context, address string, server *http.Server) error {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// claim removes the file of a daemon that was killed. An abstract socket, or
// one that somebody serves, is left alone.
func (d *daemon) claim(address string) error {
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
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", address)
	}
	return os.Remove(address)
}

// peerKey is the key of the peer's user in the context of a request.
type peerKey struct{}

// withPeer notes who is at the other end of a connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	peer, err := peerOf(conn.(*net.UnixConn))
	if err != nil {
		return ctx // nobody
	}
	return context.WithValue(ctx, peerKey{}, peer.Uid)
}

// trusted lets root and the daemon's own user through, as an abstract socket
// has no file permissions.
func trusted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(peerKey{}).(uint32)
		if !ok || uid != 0 && int64(uid) != int64(os.Getuid()) {
			http.Error(w, "the daemon talks to root and to its own user only", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// peerOf returns the process at the other end.
func peerOf(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var (
		cred  *unix.Ucred
		inner error
	)
	err = raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, inner); err != nil {
		return nil, fmt.Errorf("read peer credentials: %w", err)
	}
	return cred, nil
}

func (d *daemon) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, d.status()) })
	mux.HandleFunc("GET /watch", d.serveWatch)
	mux.HandleFunc("GET /explain/{address}", func(w http.ResponseWriter, r *http.Request) {
		target, err := netip.ParseAddr(r.PathValue("address"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, d.explain(target))
	})
	return trusted(mux)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}
