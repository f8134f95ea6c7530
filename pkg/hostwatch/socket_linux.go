// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer asks for room for some thousand events; the kernel grants
	// at most net.core.rmem_max.
	receiveBuffer = 4 << 20
	// messageBuffer is larger than any notification of the kernel.
	messageBuffer = 64 << 10
)

// socket is a subscription to rtnetlink groups. Unlike that of the netlink library
// it receives many messages in one go, without an allocation for each.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
}

// subscribe opens a socket. Events wait in the kernel from now on.
func subscribe(groups ...uint) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{file: os.NewFile(uintptr(fd), "rtnetlink"), buf: make([]byte, messageBuffer)}
	if s.raw, err = s.file.SyscallConn(); err == nil {
		err = setUp(fd, groups)
	}
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

func setUp(fd int, groups []uint) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(g)); err != nil {
			return fmt.Errorf("join rtnetlink group %d: %w", g, err)
		}
	}
	return nil
}

// errOverrun means that the kernel had no room for events and dropped some.
var errOverrun = errors.New("events were lost")

// receive waits for events and calls handle for each message that is there. handle
// must not keep the message. The error is errOverrun when events were lost.
func (s *socket) receive(handle func(hdr *unix.NlMsghdr, data []byte)) error {
	var inner error
	received := false
	err := s.raw.Read(func(fd uintptr) bool {
		for range maxBatch {
			n, from, err := unix.Recvfrom(int(fd), s.buf, 0)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return received
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.ENOBUFS):
				inner = errOverrun
				return true
			case err != nil:
				inner = os.NewSyscallError("recvfrom", err)
				return true
			}
			received = true
			if nl, ok := from.(*unix.SockaddrNetlink); ok && nl.Pid == 0 { // any process may send here
				split(s.buf[:n], handle)
			}
		}
		return true
	})
	return errors.Join(err, inner)
}

// maxDrained ends a drain that events come faster than. It is far more than the
// receive buffer has room for.
const maxDrained = 1 << 20

// drain drops all events that are there.
func (s *socket) drain() error {
	err := s.raw.Read(func(fd uintptr) bool {
		for range maxDrained {
			_, _, err := unix.Recvfrom(int(fd), s.buf, 0)
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				break // nothing is left, or the next receive says what is wrong
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("drop events: %w", err)
	}
	return nil
}

// wake ends a receive at that time, the zero time for never.
func (s *socket) wake(at time.Time) error {
	if err := s.file.SetReadDeadline(at); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	return nil
}

// queued returns how much of the receive buffer is in use.
func (s *socket) queued() (used uint32) {
	const (
		rmemAlloc = 0 // SK_MEMINFO_RMEM_ALLOC of linux/sock_diag.h
		fields    = 9 // SK_MEMINFO_VARS
	)
	_ = s.raw.Control(func(fd uintptr) {
		var info [fields]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			used = info[rmemAlloc]
		}
	})
	return used
}

// maxBatch bounds how many events are received before the handlers hear of them.
const maxBatch = 1024

// split hands the messages of a datagram to handle.
func split(b []byte, handle func(hdr *unix.NlMsghdr, data []byte)) {
	for len(b) >= unix.NLMSG_HDRLEN {
		hdr := header(b)
		n := int(hdr.Len)
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return
		}
		handle(&hdr, b[unix.NLMSG_HDRLEN:n])
		b = b[min(len(b), align(n)):]
	}
}

// Close ends the subscription, and a receive that waits.
func (s *socket) Close() error { return s.file.Close() }
