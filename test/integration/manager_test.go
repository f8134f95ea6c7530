// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestManager reads what the daemon tells its service manager. A real systemd
// hears it in test/systemd.
func TestManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	harness.Must(t, err)
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "600000")
	wait := func(wanted string) (message string) {
		t.Helper()
		b := make([]byte, 4096)
		harness.Must(t, manager.SetReadDeadline(time.Now().Add(harness.Patience)))
		for {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("waiting for %q: %v", wanted, err)
			}
			if strings.Contains(string(b[:n]), wanted) {
				return string(b[:n])
			}
		}
	}
	n := harness.NewNetwork(t)
	config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\nmetrics: {listen: ''}\n")
	d := harness.Start(t, n.Node, "--config", config)
	wait("READY=1\nSTATUS=answering on uplink")
	harness.Must(t, n.Node.Down(harness.Uplink))
	wait("STATUS=waiting for uplink: the link is down")
	for range 5 {
		wait("WATCHDOG=1")
	}
	d.Signal(syscall.SIGHUP)
	wait("RELOADING=1\nMONOTONIC_USEC=")
	wait("READY=1")
	harness.ReplaceIn(t, config, "static", "statik")
	d.Signal(syscall.SIGHUP)
	wait("RELOADING=1")
	wait("READY=1\nSTATUS=waiting for uplink: the link is down; the last reload failed")
	d.Signal(syscall.SIGTERM)
	wait("STOPPING=1")
}

// TestSecondDaemon starts daemons beside one that answers.
func TestSecondDaemon(t *testing.T) {
	t.Parallel()
	for name, uid := range map[string]uint32{"of root": 0, "of a user with the capability": 4711} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			first := harness.StartAs(t, n.Node, uid, []uintptr{unix.CAP_NET_RAW}, harness.Binary(t), "run", "--interface", harness.Uplink, "--rule", podRule)
			first.WaitReady()
			harness.Must(t, harness.Undisturbed(func() error { // the first one has a second to say who it is
				second := harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
				if code := second.Exit(); code != 1 {
					t.Errorf("the second ends with %d", code)
				}
				for _, words := range []string{"waiting for it to stop", "another ndproxyd answers on this host: a process of the command line (process ", "stop it, or this one"} {
					if !strings.Contains(second.Log(), words) {
						return fmt.Errorf("no %q in: %s", words, second.Log())
					}
				}
				return nil
			}))
			// Another one waits for five seconds only, for which the machine may stand still.
			var third *harness.Daemon
			harness.Eventually(t, "the third waits", func() bool {
				if third == nil || third.Ended() {
					third = harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
				}
				return strings.Contains(third.Log(), "waiting for it to stop")
			})
			first.Signal(syscall.SIGTERM)
			first.Exit()
			if third.Ended() && strings.Contains(third.Log(), "another ndproxyd answers on this host: a process") {
				third = harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
			}
			third.WaitReady()
			answers(t, n)
		})
	}
}

// become changes the effective user of this thread alone, which syscall.Setresuid
// does of all.
func become(uid uintptr) error {
	const same = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uid, same); errno != 0 {
		return errno
	}
	return nil
}

// squat binds an abstract name as a user without privilege, until the returned function
// is called or the test ends.
func squat(t *testing.T, n *harness.Network, name string, listens bool) (leave func()) {
	t.Helper()
	var fd int
	harness.Must(t, n.Node.Do(func() error {
		if err := become(4712); err != nil {
			return err
		}
		var err error
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
		}
		if err == nil && listens {
			err = unix.Listen(fd, 1)
		}
		return errors.Join(err, become(0))
	}))
	leave = sync.OnceFunc(func() { _ = unix.Close(fd) })
	t.Cleanup(leave)
	return leave
}

// TestStrangersSocket has somebody without privilege hold the name of the control
// socket: what they say is not believed.
func TestStrangersSocket(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	squat(t, n, control.DefaultAddress, true)
	var out bytes.Buffer
	if code := command(t, n, &out, 0, "status"); code != 1 || !strings.Contains(out.String(), "not a daemon's: user 4712") {
		t.Errorf("status ends with %d: %s", code, &out)
	}
}

// TestStrangersLock has somebody without privilege hold the name of the lock, who
// takes calls, or does not.
func TestStrangersLock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listens bool
		words   string
	}{"listens": {true, "user 4712"}, "takes no calls": {false, "does not accept connections"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			squat(t, n, "@ndproxyd-lock", c.listens)
			d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
			answers(t, n)
			harness.Eventually(t, "the stranger is named", func() bool {
				return strings.Contains(d.Log(), "the lock is in force") && strings.Contains(d.Log(), c.words)
			})
			second := harness.Start(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
			if code := second.Exit(); code != 1 || !strings.Contains(second.Log(), "another ndproxyd answers on this host") {
				t.Errorf("a second daemon ends with %d: %s", code, second.Log())
			}
		})
	}
}

// TestAlive asks a receive loop for a sign of life: at rest, in a flood, and when
// it hangs.
func TestAlive(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	hang := make(chan struct{})
	table, err := rules.Compile([]rules.Rule{{Prefix: conformance.PodPrefix, Method: rules.Static}})
	harness.Must(t, err)
	var l *ndp.Listener
	harness.Must(t, n.Node.Do(func() error {
		link, err := hostwatch.ReadLink(harness.Uplink, 0)
		if err != nil {
			return err
		}
		l, err = ndp.Listen(ndp.ListenConfig{
			Interface: ndp.NewInterface(link, rules.Uplink{Interface: harness.Uplink}), View: table.View(harness.Uplink),
			Counters: new(ndp.Counters), Sighted: func(ndp.Sighting) { <-hang },
		})
		return err
	}))
	alive := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		return l.Alive(ctx)
	}
	for range 100 {
		harness.Must(t, alive(harness.Patience))
	}
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	end := time.Now().Add(time.Second)
	for time.Now().Before(end) {
		p.Send(conformance.Solicitation(conformance.NodeAddr).Bytes())
		harness.Must(t, alive(harness.Patience))
	}
	f := conformance.Solicitation(conformance.Pod)
	f.Source = addr("2001:db8:1:0:f::66") // another station has an address of the rule
	p.Send(f.Bytes())
	harness.Eventually(t, "a loop that hangs to be found out", func() bool { return alive(200*time.Millisecond) != nil })
	close(hang)
	harness.Eventually(t, "it to live again", func() bool { return alive(time.Second) == nil })
	harness.Must(t, l.Close())
}
