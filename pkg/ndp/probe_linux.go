// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// ProbeSocket asks for targets on devices behind the node, and hears their
// answers. It leaves no neighbor entries in the kernel. Send and Run may be
// called from different goroutines.
type ProbeSocket struct {
	fd   int // sends frames on any device
	conn *ipv6.PacketConn
}

// OpenProbeSocket needs CAP_NET_RAW.
func OpenProbeSocket() (*ProbeSocket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	raw, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ICMPv6 socket: %w", err), unix.Close(fd))
	}
	s := &ProbeSocket{fd: fd, conn: ipv6.NewPacketConn(raw)}
	var f ipv6.ICMPFilter
	f.SetAll(true)
	f.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	if err := errors.Join(s.conn.SetICMPFilter(&f), s.conn.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("set up ICMPv6 socket: %w", err), s.Close())
	}
	return s, nil
}

// Send asks for a target on a device.
func (s *ProbeSocket) Send(device *Interface, target netip.Addr) error {
	frame, err := device.Solicitation(target)
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Ifindex: device.index, Protocol: htons(unix.ETH_P_IPV6), Halen: 6}
	copy(to.Addr[:], frame[:6])
	if err := unix.Sendto(s.fd, frame, 0, to); err != nil {
		return fmt.Errorf("send solicitation: %w", err)
	}
	return nil
}

// Run hands every valid advertisement to f until Close.
func (s *ProbeSocket) Run(f func(target netip.Addr, device int)) error {
	buf := make([]byte, longestFrame)
	for {
		n, control, _, err := s.conn.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("receive advertisements: %w", err)
		case control == nil || control.HopLimit != hopLimit: // RFC 4861 §7.1.2
			continue
		case n < minMessage || buf[1] != 0: // RFC 4861 §7.1.2
			continue
		}
		m, err := ndp.ParseMessage(buf[:n]) // the kernel has checked the sum
		if a, ok := m.(*ndp.NeighborAdvertisement); err == nil && ok {
			f(a.TargetAddress, control.IfIndex)
		}
	}
}

// Close ends Run.
func (s *ProbeSocket) Close() error { return errors.Join(s.conn.Close(), unix.Close(s.fd)) }
