// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// longestFrame is the longest frame that is read in full. No Ethernet MTU is
// greater; longer frames are what the kernel has merged on reception.
const longestFrame = 16 << 10

// loop is the state of the goroutine that reads, answers and counts.
type loop struct {
	l         *Listener
	fd        int
	ring      *ring
	rx        received
	s         Solicitation
	batch     *batch
	limit     bucket       // of answers to all nodes
	askers    *askers      // nil until there is a limit
	held      delayQueue   // answers that must not leave before they are due
	spread    delayQueue   // answers that are delayed at random, and may leave early
	last      lastSighting // of a solicitor
	lastClaim lastSighting // of who advertises an address
	signs     [signKinds]bucket
	records   pendingRecords
	started   time.Time // when the clock of delays and limits was 0
	clock     int64     // that clock's time at the beginning of the round
	shown     uint32    // the last call of Alive that was answered
	failed    error     // of a read
	overlap   overlap   // of two sockets
	drained   bool      // nothing is left of a move but to go over
	long      []byte
}

// run answers until the listener closes. It sleeps in the runtime's poller,
// which holds no processor meanwhile: while nothing arrives, nothing wakes up.
func (l *Listener) run() {
	defer close(l.done)
	lp := &loop{l: l, batch: newBatch(), started: time.Now(), long: make([]byte, longestFrame)}
	lp.records.recent = l.recent
	read := func(fd uintptr) bool {
		lp.fd, lp.ring = int(fd), l.socket.Load().ring
		l.err = lp.answer()
		return l.err != nil || l.stopping.Load() || lp.drained || lp.arm()
	}
	for {
		err := l.socket.Load().raw.Read(read)
		switch {
		case l.err != nil || l.stopping.Load():
			return
		case lp.drained:
			lp.goOver()
		case errors.Is(err, os.ErrDeadlineExceeded): // a delayed answer is due
			if l.err = lp.disarm(); l.err != nil || l.stopping.Load() {
				return
			}
		case err != nil:
			l.err = err
			return
		}
	}
}

// answer processes everything that has arrived. It returns when the listener
// closes, even under a flood.
func (lp *loop) answer() error {
	for rounds := 1; !lp.l.stopping.Load(); rounds++ {
		lp.showAlive()
		ended := lp.joinMove()
		lp.batch.begin()
		took := lp.receive()
		lp.sendDue()
		lp.batch.send(lp.fd, lp.l.counters)
		lp.records.flush()
		if lp.failed != nil {
			return lp.failed
		}
		switch {
		case !took && ended: // before the last look, which found nothing
			lp.drained = true
			return nil
		case !took:
			lp.overlap.end()
			return lp.checkError()
		}
		yield(rounds%longWork == 0)
	}
	return nil
}

// showAlive answers a call of Alive. While there is none it costs an atomic load.
func (lp *loop) showAlive() {
	asked := lp.l.asked.Load()
	if asked == lp.shown {
		return
	}
	lp.shown = asked
	select { // discard the answer to a call that has timed out
	case <-lp.l.alive:
	default:
	}
	lp.l.alive <- asked // does not block: nobody else writes
}

// longWork is how many rounds without a sleep are long work: up to 4096 frames.
const longWork = 64

// yield lets other threads run on this processor before the loop goes to sleep,
// which together with the wake-up costs more: the kernel may be delivering more
// frames on this very processor. During long work the runtime must know of the
// call, or its monitor would not give other goroutines a turn; during short work
// hiding the call avoids waking that monitor.
func yield(long bool) {
	if long {
		_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		return
	}
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}

// arm makes the wait for frames end when the first delayed answer is due. It
// returns true when there is something to do already.
func (lp *loop) arm() bool {
	due, waiting := lp.nextDue()
	if !waiting {
		return false
	}
	if lp.l.err = lp.l.socket.Load().conn.SetReadDeadline(lp.started.Add(time.Duration(due))); lp.l.err != nil {
		return true
	}
	// Close, Alive and SetEarly set a deadline, too, which this one may have replaced.
	return lp.l.stopping.Load() || lp.l.asked.Load() != lp.shown || lp.moveWaits() || due <= lp.now()
}

// disarm removes the deadline that arm or wake has set.
func (lp *loop) disarm() error { return lp.l.socket.Load().conn.SetReadDeadline(time.Time{}) }

// checkError reads the pending error of the socket. A link that goes down causes
// one, and the socket works again when the link is up.
func (lp *loop) checkError() error {
	switch errno := socketError(lp.fd); errno {
	case 0:
		return nil
	case unix.ENETDOWN:
		return checkDevice(lp.fd, lp.l.index)
	default:
		return fmt.Errorf("packet socket: %w", errno)
	}
}

// socketError reads and clears the pending error of a socket. Like all system
// calls that each solicitation costs it is hidden from the runtime, see yield.
func socketError(fd int) unix.Errno {
	var code int32
	size := uint32(unsafe.Sizeof(code))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&code)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return unix.Errno(code) //nolint:gosec // an errno
}

// checkDevice fails when a socket has lost its device for good. While the device
// is still being removed the socket does not know; see [Listener.Index].
func checkDevice(fd, device int) error {
	index, err := boundIndex(fd)
	if err == nil && index != device {
		err = fmt.Errorf("packet socket: %w", unix.ENODEV)
	}
	return err
}

// receive answers frames until the ring is empty or the batch is full, and
// reports whether there were any.
func (lp *loop) receive() (took bool) {
	ring, iface, view := lp.ring, lp.l.iface.Load(), lp.l.view.Load()
	lp.clock = lp.now()
	for !lp.batch.full() && ring.next(&lp.rx) {
		if lp.rx.meta.Type == PacketOtherHost { // which pass the filter with ConsumedMark only
			lp.rx.meta.Type = PacketHost
		}
		if frame, ok := lp.frame(); ok && !lp.overlap.has(&lp.rx) {
			lp.take(frame, iface, view)
		}
		ring.release(&lp.rx)
		took = true
	}
	return took
}

// take answers a solicitation, or looks at what else the filter lets through.
func (lp *loop) take(frame []byte, iface *Interface, view *rules.View) {
	if isAdvertisement(frame) {
		sign, ok := Sight(frame, lp.rx.meta, iface, view)
		if ok && (sign.Solicited || lp.lastClaim.isNew(sign.Address, sign.MAC, view, lp.clock)) {
			lp.handOn(sign)
		}
		return
	}
	res := Respond(lp.batch.slot(), &lp.s, frame, lp.rx.meta, iface, view)
	limit := iface.facts.Uplink.LimitPerAsker
	if res.verdict == &iface.presence {
		limit = 0
	}
	if reason := lp.account(res, limit, iface, view); reason != Probing && res.Kind != Presence {
		lp.records.add(lp.rx.at, frame, &lp.s, res.Kind, reason)
	}
	if res.Reason.valid() && !lp.s.source.IsUnspecified() &&
		lp.last.isNew(lp.s.source, lp.s.asker, view, lp.clock) {
		if sign, ok := lp.s.sight(iface, view); ok {
			lp.handOn(sign)
		}
	}
	if sign, ok := lp.s.tentative(res.Reason); ok && lp.last.isNew(sign.Address, sign.MAC, view, lp.clock) {
		lp.handOn(sign)
	}
}

// handOn reports a sign to the listener's owner, unless there were too many of
// its kind.
func (lp *loop) handOn(sign Sighting) {
	if lp.signs[sign.kind()].take(lp.clock, signRate) {
		lp.l.sighted(sign)
	}
}

// lastSighting skips a station that was looked at within the last second. Most
// often that is the router.
type lastSighting struct {
	address netip.Addr
	mac     [6]byte
	view    *rules.View
	until   int64
}

func (l *lastSighting) isNew(a netip.Addr, mac [6]byte, view *rules.View, now int64) bool {
	if l.address == a && l.mac == mac && l.view == view && now < l.until {
		return false
	}
	*l = lastSighting{address: a, mac: mac, view: view, until: now + int64(time.Second)}
	return true
}

// frame returns the whole received frame, also one that is longer than a slot of
// the ring. A frame longer than longestFrame is cut short, and validation rejects it.
func (lp *loop) frame() ([]byte, bool) {
	if !lp.rx.copied {
		return lp.rx.frame, true
	}
	n, err := unix.Read(lp.fd, lp.long)
	if err != nil { // the pending error of a link that went down, which is cleared now
		n, err = unix.Read(lp.fd, lp.long)
	}
	if err != nil { // the copies can no longer be matched with their slots
		lp.failed = os.NewSyscallError("read", err)
		return nil, false
	}
	return lp.long[:n], true
}
