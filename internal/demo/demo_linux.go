// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/lab"
)

// The network of the demonstration.
const (
	routerAddr = "2001:db8:1::ff"
	nodeAddr   = "2001:db8:1::1"
	podAddr    = "2001:db8:1:0:f::5"
	podGateway = "2001:db8:1:0:f::1"
	podPrefix  = "2001:db8:1:0:f::/80"
	onLink     = "/64"
	uplink     = "uplink"

	startTimeout = 30 * time.Second
	// silence is how long the ping waits that gets no reply, and patience that
	// of the others. The router repeats a solicitation after a second, and
	// gives up after three (RFC 4861 §10).
	silence  = time.Second
	patience = 30 * time.Second
)

// Run plays the demonstration with the daemon at path, and writes it to out.
func Run(ctx context.Context, path string, out *os.File) error {
	d := &demo{out: out}
	defer d.close()
	if err := d.build(); err != nil {
		return fmt.Errorf("build network: %w", err)
	}
	d.say(`
A router, a node and a pod, each in a network namespace of its own. The router
holds %s%s on its link and asks there for every address of it.

  router %s ── node %s ── pod %s
`, "2001:db8:1::", onLink, routerAddr, nodeAddr, podAddr)

	d.title("The router pings the pod, and nobody answers its Neighbor Solicitations")
	if err := d.ping(ctx, 1, false); err != nil {
		return err
	}
	if err := d.showNeighbor(); err != nil {
		return err
	}
	args := []string{"run", "--interface", uplink, "--rule", podPrefix + "=static", "--log-format", "text"}
	d.title("The node starts: ndproxyd " + strings.Join(args, " "))
	if err := d.start(ctx, path, args); err != nil {
		return fmt.Errorf("start daemon: %w", err)
	}
	d.title("The router pings the pod again")
	if err := d.ping(ctx, 3, true); err != nil {
		return err
	}
	d.title("The router's neighbor entry for the pod has the node's MAC address")
	if err := d.showNeighbor(); err != nil {
		return err
	}
	return d.showDaemon(ctx)
}

// demo is one run of the demonstration.
type demo struct {
	out               *os.File
	router, node, pod *lab.Namespace
	process           *os.Process
	client            *control.Client
	steps             int
}

func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }

func (d *demo) title(s string) {
	d.steps++
	d.say("\n%d. %s\n\n", d.steps, s)
}

// build makes the namespaces and connects them.
func (d *demo) build() error {
	for _, n := range []**lab.Namespace{&d.router, &d.node, &d.pod} {
		var err error
		if *n, err = lab.New(); err != nil {
			return err
		}
	}
	return firstError(
		func() error { return d.node.Sysctl("net/ipv6/conf/all/forwarding", "1") },
		func() error {
			return d.router.Veth("link", [6]byte{2, 0, 0, 0, 0, 1}, d.node, uplink, [6]byte{2, 0, 0, 0, 0, 2})
		},
		func() error {
			return d.pod.Veth("eth0", [6]byte{2, 0, 0, 0, 0, 5}, d.node, "pod5", [6]byte{2, 0, 0, 0, 1, 5})
		},
		func() error { return d.router.Address("link", routerAddr+onLink) },
		func() error { return d.node.Address(uplink, nodeAddr+onLink) },
		func() error { return d.node.Address("pod5", podGateway+"/128") },
		func() error { return d.node.Route(podAddr+"/128", "", "pod5") },
		func() error { return d.pod.Address("eth0", podAddr+"/128") },
		func() error { return d.pod.Route(podGateway+"/128", "", "eth0") },
		func() error { return d.pod.Route("::/0", podGateway, "eth0") },
	)
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// ping pings the pod from the router, and fails unless the result is as wanted.
func (d *demo) ping(ctx context.Context, times int, wanted bool) error {
	p, err := d.router.NewPinger(netip.MustParseAddr(podAddr))
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // a socket for reading
	timeout := silence
	if wanted {
		timeout = patience
	}
	for i := range times {
		took, err := ping(ctx, p, timeout)
		switch {
		case errors.Is(err, lab.ErrNoReply):
			d.say("   ping %s: no reply within %s\n", podAddr, timeout)
		case err != nil:
			return err
		default:
			d.say("   ping %s: reply %d after %s\n", podAddr, i+1, took.Round(time.Microsecond))
		}
		if answered := err == nil; answered != wanted {
			return fmt.Errorf("ping %s: answered %t, want %t", podAddr, answered, wanted)
		}
	}
	return nil
}

// ping repeats the echo request every second until there is a reply: the router
// drops one that waits when it gives up on an address.
func ping(ctx context.Context, p *lab.Pinger, timeout time.Duration) (time.Duration, error) {
	end := time.Now().Add(timeout)
	for {
		took, err := p.Ping(ctx, min(time.Second, time.Until(end)))
		if !errors.Is(err, lab.ErrNoReply) || time.Until(end) <= 0 {
			return took, err
		}
	}
}

// start starts the daemon on the node and waits until it is ready.
func (d *demo) start(ctx context.Context, path string, args []string) error {
	var err error
	if d.process, err = d.node.Start(path, args, d.out, d.out, nil); err != nil {
		return err
	}
	d.client = control.NewClientFunc(control.DefaultAddress, func(ctx context.Context) (net.Conn, error) {
		var conn net.Conn
		return conn, d.node.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, "unix", control.DefaultAddress)
			return err
		})
	})
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		s, err := d.client.Status(ctx)
		if err == nil && s.Ready {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// showNeighbor prints what the router knows of the pod.
func (d *demo) showNeighbor() error {
	link, err := d.router.Link.LinkByName("link")
	if err != nil {
		return err
	}
	list, err := d.router.Link.NeighList(link.Attrs().Index, netlink.FAMILY_V6)
	if err != nil {
		return fmt.Errorf("read neighbors: %w", err)
	}
	for _, n := range list {
		if n.IP.String() == podAddr {
			d.say("   %s lladdr %s %s\n", n.IP, n.HardwareAddr, neighborState(n.State))
		}
	}
	return nil
}

func neighborState(s int) string {
	switch s {
	case unix.NUD_INCOMPLETE:
		return "INCOMPLETE"
	case unix.NUD_REACHABLE:
		return "REACHABLE"
	case unix.NUD_STALE:
		return "STALE"
	case unix.NUD_DELAY:
		return "DELAY"
	case unix.NUD_PROBE:
		return "PROBE"
	case unix.NUD_FAILED:
		return "FAILED"
	}
	return fmt.Sprintf("state %#x", s)
}

// showDaemon prints what the daemon tells of the pod and of itself.
func (d *demo) showDaemon(ctx context.Context) error {
	d.title("ndproxyd explain " + podAddr)
	e, err := d.client.Explain(ctx, netip.MustParseAddr(podAddr))
	if err != nil {
		return err
	}
	if err := e.WriteText(indent{d.out}); err != nil {
		return err
	}
	d.title("ndproxyd status")
	s, err := d.client.Status(ctx)
	if err != nil {
		return err
	}
	if err := s.WriteText(indent{d.out}); err != nil {
		return err
	}
	d.say("\nDone. The namespaces are gone with this program.\n")
	return nil
}

// close stops the daemon and gives the namespaces up.
func (d *demo) close() {
	if d.process != nil {
		_ = d.process.Kill()
		_, _ = d.process.Wait()
	}
	for _, n := range []*lab.Namespace{d.router, d.node, d.pod} {
		if n != nil {
			n.Close()
		}
	}
}

// indent sets lines in.
type indent struct{ w io.Writer }

// Write implements io.Writer for whole lines.
func (i indent) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if _, err := io.WriteString(i.w, "   "+line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
