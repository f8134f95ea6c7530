// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// packetSocket is a packet socket with its ring.
type packetSocket struct {
	conn   *packet.Conn
	raw    syscall.RawConn
	ring   *ring
	closed sync.Once
}

// openPacketSocket opens a socket that receives nothing yet, with the filter of an
// interface and a view.
func openPacketSocket(i *Interface, view *rules.View) (*packetSocket, error) {
	f, err := filter(i.facts.Index, view, askedRouters(i))
	if err != nil {
		return nil, err
	}
	// Protocol 0 receives nothing, until the ring is there and bind names one.
	conn, err := packet.Listen(&net.Interface{Index: i.facts.Index}, packet.Raw, 0, &packet.Config{Filter: f})
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	s := &packetSocket{conn: conn}
	if s.raw, err = conn.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("access packet socket: %w", err), conn.Close())
	}
	err = s.control(func(fd int) (err error) {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return fmt.Errorf("ignore outgoing frames: %w", err)
		}
		s.ring, err = openRing(fd)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// protocolOf returns the protocol by which a socket hears what it is to hear: that of all
// frames is before the hooks of tc and of nftables' ingress.
func protocolOf(early bool) uint16 {
	if early {
		return unix.ETH_P_ALL
	}
	return unix.ETH_P_IPV6
}

// noProtocol is one that no frame has: it is reserved.
const noProtocol = 0xffff

// bind starts reception by a protocol. It also ends the one that there was: nothing is
// queued by that any more when it returns.
func (s *packetSocket) bind(index int, protocol uint16) error {
	return s.control(func(fd int) error {
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index, Protocol: htons(protocol)}); err != nil {
			return fmt.Errorf("bind packet socket: %w", err)
		}
		return nil
	})
}

// htons returns the value in network byte order, as sll_protocol wants it.
func htons(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// setAllMulticast asks the device for all multicast frames once more, or once less.
func (s *packetSocket) setAllMulticast(index int, on bool) error {
	option := unix.PACKET_DROP_MEMBERSHIP
	if on {
		option = unix.PACKET_ADD_MEMBERSHIP
	}
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_ALLMULTI} //nolint:gosec // an index
	return s.control(func(fd int) error {
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, option, &mreq); err != nil {
			return fmt.Errorf("set all-multicast: %w", err)
		}
		return nil
	})
}

// setStamps has the kernel note the time at which it receives frames, or not any more.
func (s *packetSocket) setStamps(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return s.control(func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, value); err != nil {
			return fmt.Errorf("have frames stamped: %w", err)
		}
		return nil
	})
}

func (s *packetSocket) control(f func(fd int) error) error {
	var inner error
	err := s.raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

// close releases the socket and its ring. A second call does nothing: where the ring was,
// there may be another one by then.
func (s *packetSocket) close() (err error) {
	s.closed.Do(func() {
		if s.ring != nil {
			err = s.ring.close()
		}
		err = errors.Join(err, s.conn.Close())
	})
	return err
}
