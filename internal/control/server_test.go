// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

var _ task.Task = new(control.Server)

// fakeDaemon answers at once.
type fakeDaemon struct{ recent ndp.Recent }

func (*fakeDaemon) Status(context.Context) status.Status { return status.Status{PID: 4711} }

func (*fakeDaemon) Explain(_ context.Context, target netip.Addr) status.Explanation {
	return status.Explanation{Target: target, Answers: []status.UplinkExplanation{{Interface: "eth0", Reason: "answered"}}}
}

func (d *fakeDaemon) Feeds() []control.Feed {
	return []control.Feed{{Interface: "eth0", Recent: &d.recent}}
}

var sockets atomic.Uint32

// abstract returns an address that no other test has.
func abstract() string {
	return fmt.Sprintf("@ndproxyd-control-test-%d-%d", os.Getpid(), sockets.Add(1))
}

// patience is how long a test waits for what comes at once on a machine that has
// nothing else to do. A loaded one stalls for seconds.
const patience = time.Minute

// serve runs a server until the test ends, which gives its clients a minute for
// everything.
func serve(t *testing.T, address string) {
	t.Helper()
	s := newServer(t, address)
	s.SetPatience(patience)
	run(t, s)
}

func newServer(t *testing.T, address string) *control.Server {
	t.Helper()
	return control.New(control.Options{Address: address, Daemon: new(fakeDaemon), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
}

// run runs a server until the test ends.
func run(t *testing.T, s *control.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// awaitStatus waits until a client gets a status.
func awaitStatus(t *testing.T, address string) {
	t.Helper()
	var s status.Status
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s, err = control.NewClient(address).Status(t.Context()); err == nil {
			break
		}
	}
	if err != nil || s.PID != 4711 {
		t.Fatalf("the status is %+v, %v", s, err)
	}
}

// as calls f on a thread of another user.
func as(t *testing.T, uid uintptr, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const same = ^uintptr(0)
		set := func(uid uintptr) error {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uid, same); errno != 0 {
				return errno
			}
			return nil
		}
		if err := set(uid); err != nil {
			done <- err
			return
		}
		err := f()
		done <- errors.Join(err, set(0))
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// dialAs connects as a user, whom the kernel notes when it connects.
func dialAs(t *testing.T, uid uintptr, address string) (conn net.Conn) {
	t.Helper()
	as(t, uid, func() error {
		var err error
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if conn, err = net.Dial("unix", address); !errors.Is(err, unix.EAGAIN) { // the backlog may be full
				break
			}
		}
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestServer asks over an abstract socket and over one with a path.
func TestServer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	if l, err := net.Listen("unix", path); err != nil { // what a killed daemon leaves behind
		t.Fatal(err)
	} else {
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		_ = l.Close()
	}
	for _, address := range []string{abstract(), path} {
		serve(t, address)
		awaitStatus(t, address)
		target := netip.MustParseAddr("2001:db8::1")
		e, err := control.NewClient(address).Explain(t.Context(), target)
		if err != nil || e.Target != target || e.Answers[0].Reason != "answered" {
			t.Errorf("the explanation is %+v, %v", e, err)
		}
		resp, err := get(address, "/explain/nonsense")
		if err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("explaining nonsense is %v, %v", resp, err)
		}
	}
}

func get(address, page string) (*http.Response, error) {
	conn, err := net.Dial("unix", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: ndproxyd\r\nConnection: close\r\n\r\n", page); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

// TestNoServer names the address of a daemon that is not there.
func TestNoServer(t *testing.T) {
	t.Parallel()
	_, err := control.NewClient("@ndproxyd-nobody").Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no daemon serves @ndproxyd-nobody") {
		t.Errorf("the error is %v", err)
	}
}

// TestStranger lets another user ask, who is told why there is no answer.
func TestStranger(t *testing.T) {
	t.Parallel()
	address := abstract()
	serve(t, address)
	awaitStatus(t, address)
	client := control.NewClientFunc(address, func(context.Context) (net.Conn, error) { return dialAs(t, 12345, address), nil })
	// The server has little time for a stranger: one who reads too late is told nothing.
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, err := client.Status(t.Context())
		if err == nil {
			t.Fatal("a stranger is served")
		}
		if strings.Contains(err.Error(), "root and to its own user only") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a stranger gets %v", err)
		}
	}
}

// TestStrangersFlood has a stranger send a megabyte of headers on each of many
// connections, and keep as many more idle: neither costs memory, and root gets an
// answer meanwhile.
func TestStrangersFlood(t *testing.T) {
	address := abstract()
	run(t, newServer(t, address))
	awaitStatus(t, address)
	header := []byte("GET /status HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<20))
	var before, after runtime.MemStats
	var conns []net.Conn
	for range 266 {
		conns = append(conns, dialAs(t, 1000, address))
	}
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	for i, conn := range conns {
		if i%2 == 0 {
			wg.Go(func() { _, _ = conn.Write(header) })
		}
	}
	awaitStatus(t, address)
	wg.Wait()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("133 strangers with a megabyte of headers made the process allocate %d bytes", grown)
	}
	for i, conn := range conns { // each was closed by the server
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d of a stranger stays open", i)
		}
	}
}

// TestManyConnections has a user who is served open more connections than one
// may have, and send nothing: the user is served again once they are closed.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	address := abstract()
	serve(t, address)
	awaitStatus(t, address)
	var conns []net.Conn
	for range 100 {
		conns = append(conns, dialAs(t, 0, address))
	}
	_, err := control.NewClient(address).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "too many connections") && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
		t.Errorf("beside 100 connections the user gets %v", err)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	awaitStatus(t, address)
}

// TestIdleClosed has a user who is served open as many connections, and keep them:
// the server closes them, and then the user is served again.
func TestIdleClosed(t *testing.T) {
	t.Parallel()
	address := abstract()
	run(t, newServer(t, address))
	awaitStatus(t, address)
	var conns []net.Conn
	for range 100 {
		conns = append(conns, dialAs(t, 0, address))
	}
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("idle connection %d stays open", i)
		}
	}
	awaitStatus(t, address)
}

// TestLongHeaders sends more headers than any command does.
func TestLongHeaders(t *testing.T) {
	t.Parallel()
	address := abstract()
	serve(t, address)
	awaitStatus(t, address)
	resp, err := get(address, "/status HTTP/1.1\r\nX: "+strings.Repeat("x", 9<<10)+"\r\nY:")
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long headers are %v, %v", resp, err)
	}
}

// TestTakenBack has a stranger hold the name of the socket when the server
// starts. Once the stranger is gone, the server serves it.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	address := abstract()
	var squatter int
	as(t, 4712, func() error {
		var err error
		squatter, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return errors.Join(err, unix.Bind(squatter, &unix.SockaddrUnix{Name: address}), unix.Listen(squatter, 1))
	})
	serve(t, address)
	_, err := control.NewClient(address).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not a daemon's: user 4712") {
		t.Errorf("the stranger's socket is %v", err)
	}
	if err := unix.Close(squatter); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, address)
}
