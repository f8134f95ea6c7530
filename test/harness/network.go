// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// The devices of a Network.
const (
	RouterPort = "link"
	Uplink     = "uplink"
)

// Network is a router and a node on one link, with the addresses of package
// conformance.
type Network struct {
	Router, Node *lab.Namespace
}

// Namespace returns a new namespace that ends with the test.
func Namespace(tb testing.TB) *lab.Namespace {
	tb.Helper()
	n, err := lab.New()
	if err != nil {
		tb.Fatalf("this test needs root: %v", err)
	}
	tb.Cleanup(n.Close)
	return n
}

// NewNetwork connects a router and a forwarding node.
func NewNetwork(tb testing.TB) *Network {
	tb.Helper()
	n := &Network{Router: Namespace(tb), Node: Namespace(tb)}
	Must(tb, n.Node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	Must(tb, n.Router.Veth(RouterPort, conformance.RouterMAC, n.Node, Uplink, conformance.NodeMAC))
	n.Address(tb)
	return n
}

// Address assigns the global addresses of both ends. The kernel makes the
// link-local ones of the MAC addresses.
func (n *Network) Address(tb testing.TB) {
	tb.Helper()
	Must(tb, n.Router.Address(RouterPort, conformance.RouterAddr.String()+"/64"))
	n.AddressNode(tb)
}

// AddressNode assigns the global address of the node's uplink.
func (n *Network) AddressNode(tb testing.TB) {
	tb.Helper()
	Must(tb, n.Node.Address(Uplink, conformance.NodeAddr.String()+"/64"))
}

// Must fails the test on an error.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Port sends and receives whole Ethernet frames on a device.
type Port struct {
	tb   testing.TB
	conn *packet.Conn
	buf  []byte
}

// OpenPort opens a port on a device of a namespace. It hears everything that
// arrives there, whoever it is for.
func OpenPort(tb testing.TB, n *lab.Namespace, device string) *Port {
	tb.Helper()
	p := &Port{tb: tb, buf: make([]byte, 65536)}
	Must(tb, n.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		p.conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	}))
	ignoreOutgoing(tb, p.conn)
	tb.Cleanup(func() { _ = p.conn.Close() })
	return p
}

// ignoreOutgoing keeps a socket from what this host sends on its device.
func ignoreOutgoing(tb testing.TB, conn *packet.Conn) {
	tb.Helper()
	raw, err := conn.SyscallConn()
	Must(tb, err)
	Must(tb, raw.Control(func(fd uintptr) {
		Must(tb, unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	}))
}

// Send sends a frame.
func (p *Port) Send(frame []byte) {
	p.tb.Helper()
	if _, err := p.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		p.tb.Fatal(err)
	}
}

// Advertisements returns the Neighbor Advertisements that arrive from now until
// stop returns true for one of them, or until the timeout.
func (p *Port) Advertisements(timeout time.Duration, stop func(frame []byte) bool) [][]byte {
	p.tb.Helper()
	return p.until(136, timeout, stop)
}

// Solicitations returns the Neighbor Solicitations for a target that arrive
// within a time.
func (p *Port) Solicitations(within time.Duration, target netip.Addr) [][]byte {
	p.tb.Helper()
	return slices.DeleteFunc(p.until(135, within, Never), func(f []byte) bool { return [16]byte(f[62:78]) != target.As16() })
}

// Messages returns the ICMPv6 messages of a type that arrive within a time.
func (p *Port) Messages(kind byte, within time.Duration) [][]byte {
	p.tb.Helper()
	return p.until(kind, within, Never)
}

func (p *Port) until(kind byte, timeout time.Duration, stop func(frame []byte) bool) [][]byte {
	p.tb.Helper()
	Must(p.tb, p.conn.SetReadDeadline(time.Now().Add(timeout)))
	var out [][]byte
	for {
		n, _, err := p.conn.ReadFrom(p.buf)
		if os.IsTimeout(err) {
			return out
		}
		Must(p.tb, err)
		f := p.buf[:n]
		if n < 78 || f[12] != 0x86 || f[13] != 0xdd || f[20] != 58 || f[54] != kind {
			continue
		}
		out = append(out, append([]byte{}, f...))
		if stop(f) {
			return out
		}
	}
}

// Never is a stop function for Advertisements that waits out the time.
func Never([]byte) bool { return false }
