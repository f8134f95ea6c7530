// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrBusy is wrapped by the error of a frame that the kernel had no room for: the
// socket's send buffer or the device's queue is full. The same frame may be sent
// later.
var ErrBusy = errors.New("the device's queue is full")

// Send sends a whole Ethernet frame on the device. It never waits: while the
// kernel has no room it returns an error that wraps [ErrBusy]. Any goroutine may
// call it.
func (l *Listener) Send(frame []byte) error {
	var to unix.Sockaddr
	if l.leaving.Load() { // the socket may be bound to no protocol by now, see batch.name
		to = &unix.SockaddrLinklayer{Ifindex: l.index, Protocol: htons(unix.ETH_P_IPV6)}
	}
	err := l.control(func(fd int) error { return sendNow(fd, frame, to) })
	if err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}

// sendNow hands a frame to the kernel, or fails at once. to may be nil on a bound
// socket.
func sendNow(fd int, frame []byte, to unix.Sockaddr) error {
	err := unix.Sendto(fd, frame, unix.MSG_DONTWAIT, to)
	// EAGAIN is a full send buffer, ENOBUFS a full queue of the device.
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}
