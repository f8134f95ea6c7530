// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

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
	tb     testing.TB
	conn   *packet.Conn
	buf    []byte
	rounds byte // of questions, so far
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
	_, _ = p.stamp() // the kernel notes when frames arrive from the first call on
	tb.Cleanup(func() { _ = p.conn.Close() })
	return p
}

// Arrived returns when the frame that was read last has arrived, by the kernel: a test
// may read it much later.
func (p *Port) Arrived() time.Time {
	p.tb.Helper()
	at, err := p.stamp()
	Must(p.tb, err)
	return at
}

// stamp asks for the time at which the frame that was read last has arrived.
func (p *Port) stamp() (time.Time, error) {
	const siocgstampns = 0x8907 // linux/sockios.h: SIOCGSTAMPNS_OLD, with a struct timespec
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return time.Time{}, err
	}
	var at unix.Timespec
	var errno unix.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, siocgstampns, uintptr(unsafe.Pointer(&at)))
	}); err != nil {
		return time.Time{}, err
	}
	if errno != 0 {
		return time.Time{}, fmt.Errorf("ask when a frame arrived: %w", errno)
	}
	return time.Unix(at.Unix()), nil
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

// Round asks for targets, and returns what tells the answers from all else. Each round asks by
// a source address of its own: what comes late is no answer to the next round, and neither is
// what the router's kernel has asked for.
func (p *Port) Round(targets ...netip.Addr) (isAnswer func(frame []byte) bool) {
	p.tb.Helper()
	p.rounds++
	source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: 0xc, 15: p.rounds})
	for _, target := range targets {
		f := conformance.Solicitation(target)
		f.Source = source
		p.Send(f.Bytes())
	}
	return func(frame []byte) bool {
		const solicited = 0x40
		return [16]byte(frame[38:54]) == source.As16() && frame[58]&solicited != 0 &&
			slices.Contains(targets, netip.AddrFrom16([16]byte(frame[62:78])))
	}
}

// Count waits for some Neighbor Advertisements, and returns them and any more that come
// within [Quiet] after that.
func (p *Port) Count(wanted int) [][]byte {
	p.tb.Helper()
	var out [][]byte
	if wanted > 0 {
		left := wanted
		out = p.Advertisements(Patience, func([]byte) bool { left--; return left == 0 })
	}
	return append(out, p.Advertisements(Quiet, Never)...)
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

// SolicitationsUntil returns those that arrive from now until stop returns true for one of
// them, or until the timeout.
func (p *Port) SolicitationsUntil(timeout time.Duration, stop func(frame []byte) bool) [][]byte {
	p.tb.Helper()
	return p.until(135, timeout, stop)
}

// Messages returns the ICMPv6 messages of a type that arrive within a time.
func (p *Port) Messages(kind byte, within time.Duration) [][]byte {
	p.tb.Helper()
	return p.until(kind, within, Never)
}

func (p *Port) until(kind byte, timeout time.Duration, stop func(frame []byte) bool) [][]byte {
	p.tb.Helper()
	var out [][]byte
	// Stalls of the machine are no part of the time: what was due comes afterwards.
	for end, stalled := time.Now().Add(timeout), Stalled(); ; {
		n, err := readWithin(p.conn, p.buf, time.Until(end)+Stalled()-stalled)
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
