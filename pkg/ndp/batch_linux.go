// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many answers leave with one system call. Beyond 16 the call
// itself no longer shows in a profile.
const batchSize = 64

// sendWait is how long a full send buffer may hold up one round of the receive
// loop, whose ring takes in what arrives meanwhile.
const sendWait = 10 * time.Millisecond

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// batch collects answers and sends them together. Nothing of it may move, so
// it is used by pointer only.
type batch struct {
	n       int
	wait    time.Duration // what is left of sendWait in this round
	frames  [batchSize]Advertisement
	kinds   [batchSize]Kind
	at      [batchSize]int64 // reception, nanoseconds since 1970
	iovecs  [batchSize]unix.Iovec
	headers [batchSize]mmsghdr
	to      unix.RawSockaddrLinklayer // see name
}

func newBatch() *batch {
	b := new(batch)
	for i := range b.frames {
		b.iovecs[i].Base = &b.frames[i][0]
		b.iovecs[i].SetLen(AdvertisementLen)
		b.headers[i].header.Iov = &b.iovecs[i]
		b.headers[i].header.SetIovlen(1)
	}
	return b
}

// name has every answer name the device and the protocol, or none. A socket that is
// about to receive nothing any more is bound to no protocol that the frames have, see move,
// and the kernel takes a frame for what its socket is bound to, unless the sender says more.
func (b *batch) name(index int, on bool) {
	var to *byte
	var length uint32
	if on {
		b.to = unix.RawSockaddrLinklayer{
			Family: unix.AF_PACKET, Protocol: htons(unix.ETH_P_IPV6), Ifindex: int32(index), //nolint:gosec // an index
		}
		to, length = (*byte)(unsafe.Pointer(&b.to)), unix.SizeofSockaddrLinklayer
	}
	for i := range b.headers {
		b.headers[i].header.Name, b.headers[i].header.Namelen = to, length
	}
}

func (b *batch) full() bool { return b.n == batchSize }

// slot returns the frame to write the next answer to; add keeps it.
func (b *batch) slot() *Advertisement { return &b.frames[b.n] }

func (b *batch) add(k Kind, at int64) {
	b.kinds[b.n], b.at[b.n] = k, at
	b.n++
}

// begin starts a round of the receive loop.
func (b *batch) begin() { b.wait = sendWait }

// send hands the answers to the bound packet socket and empties the batch. An
// answer that the kernel refuses is counted and left behind: the solicitation
// will be repeated (RFC 4861 §7.2.2). So are all the others while the send buffer
// stays full.
func (b *batch) send(fd int, c *Counters) {
	for from := 0; from < b.n; {
		sent, errno := b.sendmmsg(fd, from)
		now := time.Now().UnixNano()
		for i := from; i < from+sent; i++ {
			c.answered(b.kinds[i], now-b.at[i])
		}
		from += sent
		switch {
		case errno == 0, errno == unix.EINTR, errno == unix.EAGAIN && b.awaitRoom(fd):
		case errno == unix.EAGAIN:
			for ; from < b.n; from++ {
				c.sendFailed()
			}
		default:
			c.sendFailed()
			from++
		}
	}
	b.n = 0
}

func (b *batch) sendmmsg(fd, from int) (int, unix.Errno) {
	// The call does not block, so the runtime need not know of it.
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&b.headers[from])), uintptr(b.n-from), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// awaitRoom waits for room in the send buffer, for as long as the round may still
// wait, and reports whether there is some.
func (b *batch) awaitRoom(fd int) bool {
	if b.wait < time.Millisecond {
		return false
	}
	began := time.Now()
	pfd := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor
	n, err := unix.Poll(pfd[:], int(b.wait/time.Millisecond))
	b.wait -= max(time.Since(began), time.Millisecond)
	return err == nil && n == 1 && pfd[0].Revents&unix.POLLOUT != 0
}
