// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// longestFrame is the longest frame that is looked at: above it lies no
// Ethernet MTU, only what the kernel has glued together.
const longestFrame = 16 << 10

// loop is the state of the goroutine that reads, answers and counts.
type loop struct {
	l       *Listener
	fd      int
	rx      received
	s       solicitation
	batch   *batch
	limit   bucket
	queue   delayQueue
	started time.Time // zero of the clock that delays use
	long    []byte
}

// run answers until the listener closes.
func (l *Listener) run() {
	defer close(l.done)
	l.err = l.control(func(fd int) error {
		lp := &loop{l: l, fd: fd, batch: newBatch(), started: time.Now(), long: make([]byte, longestFrame)}
		for !l.stopping.Load() {
			more := lp.receive()
			lp.sendDue()
			lp.batch.send(fd, l.counters)
			if more {
				continue
			}
			if err := lp.wait(); err != nil {
				return err
			}
		}
		return nil
	})
}

// receive answers frames until the ring is empty or the batch is full, which it
// reports by true.
func (lp *loop) receive() bool {
	ring, iface, view := lp.l.ring, lp.l.iface.Load(), lp.l.view.Load()
	for !lp.batch.full() {
		if !ring.next(&lp.rx) {
			return false
		}
		if frame, ok := lp.frame(); ok {
			res := lp.s.respond(lp.batch.slot(), frame, lp.rx.meta, iface, view)
			lp.account(res)
		}
		ring.release(&lp.rx)
	}
	return true
}

// frame returns all octets of the received frame. A frame that the socket had
// no room for either is cut short, and fails validation as such.
func (lp *loop) frame() ([]byte, bool) {
	if lp.rx.copied {
		n, err := unix.Read(lp.fd, lp.long)
		if err != nil {
			return nil, false
		}
		return lp.long[:n], true
	}
	return lp.rx.frame, true
}

// account counts the result, and keeps the answer that was written or puts it
// off.
func (lp *loop) account(res Result) {
	c := lp.l.counters
	c.Received[res.Kind].Add(1)
	if res.Redirected {
		c.Redirected.Add(1)
	}
	switch {
	case res.Reason != Answered:
		c.ignored(res.Reason)
	case res.Kind == DAD && !lp.limit.take(lp.rx.at):
		c.ignored(RateLimited)
	case res.Delay > 0:
		if lp.queue.add(lp.now(), res.Delay, res.Kind, &lp.s) {
			c.ignored(Displaced)
		}
	default:
		lp.batch.add(res.Kind, lp.rx.at)
	}
}

// now is the clock of delayed answers, in nanoseconds.
func (lp *loop) now() int64 { return int64(time.Since(lp.started)) }

// sendDue answers the delayed solicitations whose time has come by the rules
// and the interface as they are now.
func (lp *loop) sendDue() {
	if _, waiting := lp.queue.next(); !waiting {
		return
	}
	now, iface, view := lp.now(), lp.l.iface.Load(), lp.l.view.Load()
	for {
		due, waiting := lp.queue.next()
		if !waiting || due > now {
			return
		}
		if lp.batch.full() {
			lp.batch.send(lp.fd, lp.l.counters)
		}
		d := lp.queue.pop()
		switch _, reason := d.s.answer(lp.batch.slot(), iface, view); reason {
		case Answered:
			lp.batch.add(d.kind, time.Now().UnixNano())
		case NoRule, Denied:
			lp.l.counters.ignored(Withdrawn)
		default:
			lp.l.counters.ignored(reason)
		}
	}
}

// wait sleeps until there is a frame, a delayed answer is due, or Close wakes
// it. It does not wake up otherwise.
func (lp *loop) wait() error {
	fds := [2]unix.PollFd{
		{Fd: int32(lp.fd), Events: unix.POLLIN},     //nolint:gosec // a descriptor
		{Fd: int32(lp.l.wake), Events: unix.POLLIN}, //nolint:gosec // a descriptor
	}
	var timeout *unix.Timespec
	if due, waiting := lp.queue.next(); waiting {
		t := unix.NsecToTimespec(max(0, due-lp.now()))
		timeout = &t
	}
	if _, err := unix.Ppoll(fds[:], timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for frames: %w", err)
	}
	if fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) == 0 {
		return nil
	}
	// A link that goes down says so once, and the socket works again when it
	// is up. Anything that cannot be cleared would make the loop spin.
	code, err := unix.GetsockoptInt(lp.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	switch errno := unix.Errno(code); errno { //nolint:gosec // an errno
	case 0:
		return fmt.Errorf("packet socket reports event %#x", fds[0].Revents)
	case unix.ENETDOWN:
		return nil
	default:
		return fmt.Errorf("packet socket: %w", errno)
	}
}
