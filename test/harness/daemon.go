// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
)

// Patience bounds every wait for what has to come. It is no claim about speed: a loaded
// machine stalls for seconds.
const Patience = 90 * time.Second

// Daemon is a running daemon in a namespace.
type Daemon struct {
	tb      testing.TB
	ns      *lab.Namespace
	Process *os.Process
	Client  *control.Client
	log     string
	exited  chan *os.ProcessState
}

// Start starts the daemon in a namespace and does not wait for it.
func Start(tb testing.TB, ns *lab.Namespace, args ...string) *Daemon {
	tb.Helper()
	return StartProgram(tb, ns, Binary(tb), append([]string{"run"}, args...)...)
}

// StartProgram starts a program as a daemon.
func StartProgram(tb testing.TB, ns *lab.Namespace, path string, args ...string) *Daemon {
	tb.Helper()
	return start(tb, ns, nil, path, args)
}

// StartAs starts a program as another user, with no more than some
// capabilities.
func StartAs(tb testing.TB, ns *lab.Namespace, uid uint32, caps []uintptr, path string, args ...string) *Daemon {
	tb.Helper()
	return start(tb, ns, &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: uid, Gid: uid},
		AmbientCaps: caps,
	}, Public(tb, path), args)
}

// Public returns the path of a program by which every user can run it.
func Public(tb testing.TB, path string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ndproxyd-test")
	Must(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	Must(tb, os.Chmod(dir, 0o755))
	public := filepath.Join(dir, "ndproxyd")
	if os.Link(path, public) == nil {
		return public
	}
	b, err := os.ReadFile(path) // on another file system
	Must(tb, err)
	syscall.ForkLock.RLock() // a process that another test starts would have the file open, and nobody could run it
	defer syscall.ForkLock.RUnlock()
	Must(tb, os.WriteFile(public, b, 0o755))
	return public
}

func start(tb testing.TB, ns *lab.Namespace, sys *syscall.SysProcAttr, path string, args []string) *Daemon {
	tb.Helper()
	d := &Daemon{tb: tb, ns: ns, log: filepath.Join(tb.TempDir(), "log"), exited: make(chan *os.ProcessState, 1)}
	out, err := os.Create(d.log)
	Must(tb, err)
	defer out.Close()
	d.Process, err = ns.Start(path, args, out, out, sys)
	Must(tb, err)
	go func() {
		state, _ := d.Process.Wait()
		d.exited <- state
	}()
	d.Client = control.NewClientFunc(control.DefaultAddress, func(ctx context.Context) (net.Conn, error) {
		return d.Dial(ctx, "unix", control.DefaultAddress)
	})
	tb.Cleanup(func() {
		_ = d.Process.Kill()
		state := <-d.exited
		d.exited <- state
		if log := d.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || tb.Failed() {
			tb.Errorf("daemon's log:\n%s", log)
		}
	})
	return d
}

// Run starts the daemon with flags and waits until it is ready.
func Run(tb testing.TB, ns *lab.Namespace, args ...string) *Daemon {
	tb.Helper()
	d := Start(tb, ns, args...)
	d.WaitReady()
	return d
}

// Dial connects to an address in the daemon's namespace.
func (d *Daemon) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	return conn, d.ns.Do(func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
}

// WaitReady waits until an uplink answers.
func (d *Daemon) WaitReady() {
	d.tb.Helper()
	d.Wait("a ready uplink", func(s status.Status) bool { return s.Ready })
}

// WaitState waits until the first uplink is in a state.
func (d *Daemon) WaitState(state uplink.State) {
	d.tb.Helper()
	d.Wait("state "+state.String(), func(s status.Status) bool {
		return len(s.Uplinks) > 0 && s.Uplinks[0].State == state.String()
	})
}

// Wait waits until the status is as wanted.
func (d *Daemon) Wait(what string, wanted func(status.Status) bool) {
	d.tb.Helper()
	var last status.Status
	var err error
	for begin := time.Now(); time.Since(begin) < Patience; pause(begin, often) {
		select {
		case state := <-d.exited:
			d.exited <- state
			d.tb.Fatalf("daemon ended: %s\n%s", state, d.Log())
		default:
		}
		if last, err = d.Client.Status(context.Background()); err == nil && wanted(last) {
			return
		}
	}
	d.tb.Fatalf("no %s after %s; the last status is %+v, %v", what, Patience, last, err)
}

// Eventually waits until f returns true.
func Eventually(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	await(tb, what, Patience, often, f)
}

// Within is like [Eventually], for what takes long: its bound is its own, and it looks less
// often.
func Within(tb testing.TB, within time.Duration, what string, f func() bool) {
	tb.Helper()
	await(tb, what, within, seldom, f)
}

// often and seldom are the shortest times between two looks at what is waited for.
const often, seldom = 5 * time.Millisecond, 100 * time.Millisecond

func await(tb testing.TB, what string, within, every time.Duration, f func() bool) {
	tb.Helper()
	for begin := time.Now(); time.Since(begin) < within; pause(begin, every) {
		if f() {
			return
		}
	}
	tb.Fatalf("no %s after %s", what, within)
}

// pause is the time between two looks: a twentieth of what one has waited for, so that
// many tests that wait leave the processors to those that work, and none of them waits
// noticeably longer for that.
func pause(begin time.Time, shortest time.Duration) {
	time.Sleep(min(max(shortest, time.Since(begin)/20), 10*shortest))
}

// Status returns the daemon's status.
func (d *Daemon) Status() status.Status {
	d.tb.Helper()
	var s status.Status
	Must(d.tb, Undisturbed(func() (err error) { // the daemon gives a client two seconds
		s, err = d.Client.Status(context.Background())
		return err
	}))
	return s
}

// Explain returns what the daemon does with a solicitation for an address.
func (d *Daemon) Explain(target netip.Addr) status.Explanation {
	d.tb.Helper()
	var e status.Explanation
	Must(d.tb, Undisturbed(func() (err error) {
		e, err = d.Client.Explain(context.Background(), target)
		return err
	}))
	return e
}

// Get fetches a page of the metrics endpoint.
func (d *Daemon) Get(path string) (int, string) {
	d.tb.Helper()
	client := http.Client{Timeout: Patience, Transport: &http.Transport{DialContext: d.Dial, DisableKeepAlives: true}}
	var resp *http.Response
	Eventually(d.tb, "metrics endpoint", func() bool { // it opens beside the control socket
		var err error
		resp, err = client.Get("http://[::1]:9972" + path)
		return err == nil
	})
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	Must(d.tb, err)
	return resp.StatusCode, string(body)
}

// Signal sends a signal.
func (d *Daemon) Signal(s os.Signal) {
	d.tb.Helper()
	Must(d.tb, d.Process.Signal(s))
}

// Reload sends HUP and waits until the daemon has taken or refused the file.
func (d *Daemon) Reload() {
	d.tb.Helper()
	lines := func() int {
		return strings.Count(d.Log(), "configuration loaded") + strings.Count(d.Log(), "reload failed")
	}
	before := lines()
	d.Signal(syscall.SIGHUP)
	Eventually(d.tb, "reload", func() bool { return lines() > before })
}

// Exit waits for the end of the process and returns its exit code.
func (d *Daemon) Exit() int {
	d.tb.Helper()
	select {
	case state := <-d.exited:
		d.exited <- state
		return state.ExitCode()
	case <-time.After(Patience):
		d.tb.Fatalf("daemon did not end; its log:\n%s", d.Log())
		return -1
	}
}

// Log returns what the daemon wrote so far.
func (d *Daemon) Log() string {
	b, err := os.ReadFile(d.log)
	if err != nil {
		d.tb.Error(err)
	}
	return string(bytes.TrimSpace(b))
}

// WriteConfig writes a configuration file for the test and returns its path.
func WriteConfig(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "config.yaml")
	Rewrite(tb, path, content)
	return path
}

// PublicConfig writes a configuration file that every user can read, and returns its
// path.
func PublicConfig(tb testing.TB, content string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ndproxyd-test")
	Must(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	Must(tb, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "config.yaml")
	Must(tb, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// ReplaceIn replaces words of a configuration file.
func ReplaceIn(tb testing.TB, path, old, words string) {
	tb.Helper()
	b, err := os.ReadFile(path)
	Must(tb, err)
	Rewrite(tb, path, strings.ReplaceAll(string(b), old, words))
}

// Rewrite replaces the content of a configuration file.
func Rewrite(tb testing.TB, path, content string) {
	tb.Helper()
	Must(tb, os.WriteFile(path, []byte(content), 0o600))
}
