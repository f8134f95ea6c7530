// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// ProbeSocket sends solicitations on devices of the node, and receives
// advertisements on all devices. It is a packet socket: firewalls for IP do not
// concern it, and it leaves no neighbor entries in the kernel. Send and Run may be
// called from different goroutines.
type ProbeSocket struct {
	conn *packet.Conn
	raw  syscall.RawConn
}

// OpenProbeSocket opens a probe socket, which needs CAP_NET_RAW. While it is open
// the kernel runs its filter for every IPv6 packet that the node receives.
func OpenProbeSocket() (*ProbeSocket, error) {
	f, err := advertisements()
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(new(net.Interface), packet.Raw, unix.ETH_P_IPV6, &packet.Config{Filter: f}) // index 0 is any
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	s := &ProbeSocket{conn: conn}
	if s.raw, err = conn.SyscallConn(); err == nil {
		err = s.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up packet socket: %w", err), conn.Close())
	}
	return s, nil
}

func (s *ProbeSocket) control(f func(fd int) error) (err error) {
	return errors.Join(s.raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// Send asks for a target on a device. It never waits: while the kernel has no
// room it returns an error that wraps [ErrBusy].
func (s *ProbeSocket) Send(device *Interface, target netip.Addr) error {
	frame, err := device.Solicitation(target)
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Ifindex: device.facts.Index, Protocol: htons(unix.ETH_P_IPV6), Halen: 6}
	copy(to.Addr[:], frame[:6])
	if err := s.control(func(fd int) error { return sendNow(fd, frame, to) }); err != nil {
		return fmt.Errorf("send solicitation: %w", err)
	}
	return nil
}

// Run hands every valid advertisement to f until Close. proxy is true for one without
// the Override flag, which may be a proxy's (RFC 4861 §7.2.8).
func (s *ProbeSocket) Run(f func(target netip.Addr, device int, proxy bool)) error {
	frame, control := make([]byte, longestFrame), make([]byte, unix.CmsgSpace(auxdataSize))
	for {
		var n, controls int
		var from unix.Sockaddr
		var failed error
		err := s.raw.Read(func(fd uintptr) bool {
			n, controls, _, from, failed = unix.Recvmsg(int(fd), frame, control, unix.MSG_DONTWAIT)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(failed, unix.EBADF):
			return nil
		case err != nil:
			return fmt.Errorf("receive advertisements: %w", err)
		case errors.Is(failed, unix.ENETDOWN), errors.Is(failed, unix.EINTR): // one of many devices went down
			continue
		case failed != nil:
			return fmt.Errorf("receive advertisements: %w", failed)
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		if target, _, ok := advertised(frame[:n], sumIsPartial(control[:controls])); ok {
			f(target, ll.Ifindex, frame[offFlags]&flagOverride == 0)
		}
	}
}

const (
	// auxdataSize is the length of struct tpacket_auxdata, which begins with the
	// status of the frame (linux/if_packet.h).
	auxdataSize = 20
	// sumNotReady is TP_STATUS_CSUMNOTREADY: the sum of a frame from this host is
	// left to a network card that it never sees.
	sumNotReady = 1 << 3
)

// sumIsPartial reports whether the checksum of a received frame is still to be
// computed by a network card, and so means nothing.
func sumIsPartial(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data)&sumNotReady != 0
		}
	}
	return false
}

// Close ends Run.
func (s *ProbeSocket) Close() error { return s.conn.Close() }
