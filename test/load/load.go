// SPDX-License-Identifier: Apache-2.0

// Package load sends Neighbor Solicitations as fast as a packet socket takes
// them, each for another target. The measurements and the tests of memory use
// it. A Sender belongs to one goroutine.
package load

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

const (
	// Batch is the largest number of frames that one call sends.
	Batch = 256

	frameLen = 86
	// Spread maps sequence numbers to the low 64 bits of targets one to one.
	Spread = 0x9e3779b97f4a7c15
	// Unspread is the inverse of Spread modulo 2⁶⁴.
	Unspread = 0xf1de83e19937733d
)

// Sender sends solicitations for targets in a /64 out of a device.
type Sender struct {
	Options
	fd      int
	frames  [Batch][frameLen]byte
	iovecs  [Batch]unix.Iovec
	headers [Batch]mmsghdr
}

type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// Options choose what a Sender asks for.
type Options struct {
	// Prefixes are the /64 prefixes that the targets are in, in turn.
	Prefixes []netip.Prefix
	// Targets asks for so many addresses in turn; 0 asks for a new one each time.
	Targets int
	// Single asks always for the first address of the first prefix.
	Single bool
	// RandomSource changes the source address with every frame as well.
	RandomSource bool
}

// NewSender opens a sender in a namespace.
func NewSender(n *lab.Namespace, device string, o Options) (*Sender, error) {
	s := &Sender{Options: o}
	err := n.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		// Protocol 0 sends only.
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	})
	if err != nil {
		return nil, fmt.Errorf("open sender: %w", err)
	}
	template := conformance.Solicitation(netip.IPv6Unspecified()).Bytes()
	for i := range s.frames {
		copy(s.frames[i][:], template)
		s.iovecs[i].Base = &s.frames[i][0]
		s.iovecs[i].SetLen(frameLen)
		s.headers[i].header.Iov = &s.iovecs[i]
		s.headers[i].header.SetIovlen(1)
	}
	return s, nil
}

// Close releases the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }

// Send sends n solicitations, at most Batch, whose sequence numbers begin at
// first. It returns how many the kernel took.
func (s *Sender) Send(first uint64, n int) (int, error) {
	for i := range n {
		s.fill(&s.frames[i], first+uint64(i))
	}
	sent := 0
	for sent < n {
		m, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd),
			uintptr(unsafe.Pointer(&s.headers[sent])), uintptr(n-sent), 0, 0, 0)
		switch errno {
		case 0:
			sent += int(m)
		case unix.EINTR, unix.EAGAIN, unix.ENOBUFS:
		default:
			return sent, fmt.Errorf("send solicitations: %w", errno)
		}
	}
	return sent, nil
}

// Target returns the target with a sequence number.
func (o *Options) Target(seq uint64) netip.Addr {
	if o.Targets > 0 {
		seq %= uint64(o.Targets)
	}
	p := o.Prefixes[seq%uint64(len(o.Prefixes))].Addr().As16()
	low := seq * Spread
	if o.Single {
		p, low = o.Prefixes[0].Addr().As16(), 0
	}
	binary.BigEndian.PutUint64(p[8:], low)
	return netip.AddrFrom16(p)
}

// fill writes the frame with a sequence number.
func (s *Sender) fill(f *[frameLen]byte, seq uint64) {
	t := s.Target(seq).As16()
	copy(f[62:78], t[:])
	copy(f[51:54], t[13:]) // solicited-node group
	copy(f[3:6], t[13:])
	if s.RandomSource {
		binary.BigEndian.PutUint64(f[30:38], (seq+1)*Unspread|1<<32)
	}
	f[56], f[57] = 0, 0
	var sum uint64 = 32 + 58
	for i := 22; i < 86; i += 4 {
		sum += uint64(binary.BigEndian.Uint32(f[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(f[56:], ^uint16(sum))
}
