// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

func deviceName(number int) string { return fmt.Sprintf("cali%d", number) }

func mac(kind byte, number int) conformance.MAC {
	return conformance.MAC{2, 0, 0, kind, byte(number >> 8), byte(number)}
}

// linkLocal is the address that the kernel makes of a MAC address (RFC 4291
// appendix A).
func linkLocal(m conformance.MAC) string {
	return fmt.Sprintf("fe80::%02x%02x:%02xff:fe%02x:%02x%02x", m[0]^2, m[1], m[2], m[3], m[4], m[5])
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// appOf takes the number off the name of a pod: web-1 is of web.
func appOf(pod string) string {
	app, _, _ := strings.Cut(pod, "-")
	return app
}

// WithApp gives a pod the label that services select by.
func WithApp(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{"app": app} }
}

// replaceRoute sends a prefix to another node.
func (n *Node) replaceRoute(prefix, via string) error {
	link, err := n.Link.LinkByName("uplink")
	if err != nil {
		return err
	}
	_, dst, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	return n.Link.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: net.ParseIP(via)})
}

// Dial connects from the node.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialFrom(ctx, n.Namespace, network, address)
}

func dialFrom(ctx context.Context, ns *lab.Namespace, network, address string) (net.Conn, error) {
	var conn net.Conn
	return conn, ns.Do(func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
}

func listen(ns *lab.Namespace, address string) (net.Listener, error) {
	var l net.Listener
	return l, ns.Do(func() error {
		var err error
		l, err = net.Listen("tcp", address)
		return err
	})
}

// RouterDial connects from the router. A client that gives up may leave it behind,
// so the end of the test waits for it.
func (n *Network) RouterDial(ctx context.Context, network, address string) (net.Conn, error) {
	n.dials.RLock() // an HTTP client may dial after its request has ended
	defer n.dials.RUnlock()
	if n.gone {
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return dialFrom(ctx, n.Router, network, address)
}

// DropRoute forgets the way to a pod on another node, which is about to come
// here.
func (n *Node) DropRoute(pod netip.Addr) {
	n.tb.Helper()
	_, dst, err := net.ParseCIDR(pod.String() + "/128")
	harness.Must(n.tb, err)
	harness.Must(n.tb, n.Link.RouteDel(&netlink.Route{Dst: dst}))
}
