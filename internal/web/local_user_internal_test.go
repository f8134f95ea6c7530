// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// dialAs connects on a thread of another user.
func dialAs(t *testing.T, uid uintptr, address string) (conn net.Conn) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		const same = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uid, same); errno != 0 {
			done <- errno
			return
		}
		var err error
		conn, err = net.Dial("tcp", address)
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestLocalUser asks the kernel who is at the other end.
func TestLocalUser(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"[::1]:0", "127.0.0.1:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		hosts := []string{"::1", "127.0.0.1"}
		if address != "[::]:0" {
			hosts = []string{l.Addr().(*net.TCPAddr).IP.String()}
		}
		for _, host := range hosts {
			for _, uid := range []uint32{0, 4712} {
				dialAs(t, uintptr(uid), netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if got, ok := localUser(conn.LocalAddr(), conn.RemoteAddr()); !ok || got != uid {
					t.Errorf("the user behind %s is %d, %t, want %d", conn.RemoteAddr(), got, ok, uid)
				}
			}
		}
	}
}

// TestLocalUserMapped has a client speak IPv4 with an IPv6 socket.
func TestLocalUserMapped(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	server := l.Addr().(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet6{Addr: [16]byte(server.IP.To16()), Port: server.Port}); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if uid, ok := localUser(conn.LocalAddr(), conn.RemoteAddr()); !ok || int(uid) != os.Getuid() {
		t.Errorf("the user is %d, %t", uid, ok)
	}
}

// TestLocalUserOfStranger asks about ends that are not on this host, of which one
// has the port of a service that root runs here.
func TestLocalUserOfStranger(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	service := l.Addr().(*net.TCPAddr).Port
	for name, remote := range map[string]net.Addr{
		"from anywhere":              &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 4711},
		"from the port of a service": &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: service},
		"the service itself":         &net.TCPAddr{IP: net.IPv6loopback, Port: service},
		"over IPv4 from a service":   &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: service},
		"no TCP":                     &net.UnixAddr{Name: "@x"},
	} {
		local := &net.TCPAddr{IP: net.IPv6loopback, Port: 9972}
		if a, ok := remote.(*net.TCPAddr); ok && a.IP.To4() != nil {
			local.IP = net.ParseIP("127.0.0.1")
		}
		if uid, ok := localUser(local, remote); ok {
			t.Errorf("%s, the user is %d", name, uid)
		}
	}
}

// TestParseDiag believes the kernel's answer only where it is about the
// connection that was asked for.
func TestParseDiag(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddrPort("[::1]:4711"), netip.MustParseAddrPort("[::1]:9972")
	id := socketID(a, b)
	answer := func(change func([]byte)) []byte {
		m := make([]byte, diagMsgLen)
		m[1] = tcpEstablished
		copy(m[diagMsgID:], id)
		m[diagUser] = 7
		change(m)
		return m
	}
	for name, c := range map[string]struct {
		message []byte
		ok      bool
	}{
		"the connection":     {answer(func([]byte) {}), true},
		"a listening socket": {answer(func(m []byte) { m[1] = 10 }), false},
		"other ends":         {answer(func(m []byte) { copy(m[diagMsgID:], socketID(b, a)) }), false},
		"too short":          {answer(func([]byte) {})[:diagMsgLen-1], false},
	} {
		if _, ok := parseDiag(c.message, id); ok != c.ok {
			t.Errorf("%s: %t", name, ok)
		}
	}
	if len(diagRequest(id, false)) != diagReqLen {
		t.Error("the request has another length")
	}
}

// TestProbeBesideLocalUser has a user of this host hold more connections than the
// endpoint had room for, while root probes it from the same address.
func TestProbeBesideLocalUser(t *testing.T) {
	t.Parallel()
	s := newServer(newDaemon(t))
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s.health, l, config.Endpoint{})
	for range 100 {
		keepAlive(t, dialAs(t, 4712, l.Addr().String()))
	}
	if n := s.health.clients.openOf(strangers); n > maxOfClient {
		t.Errorf("%d connections of the user are open", n)
	}
	for range 4 {
		probe := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if got := code(probe, "http://"+l.Addr().String()+"/healthz"); got != http.StatusOK {
			t.Errorf("a probe gets %d", got)
		}
	}
	if s.health.clients.openOf(insiders) > 4 {
		t.Error("connections of the user count as root's")
	}
}
