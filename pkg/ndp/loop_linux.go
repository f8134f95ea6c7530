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

// longestFrame is the longest frame that is looked at: above it lies no
// Ethernet MTU, only what the kernel has glued together.
const longestFrame = 16 << 10

// loop is the state of the goroutine that reads, answers and counts.
type loop struct {
	l         *Listener
	fd        int
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
	notes     notes
	started   time.Time // zero of the clock that delays and limits use
	clock     int64     // that clock's time at the beginning of the round
	shown     uint32    // how often it was shown that the loop is alive
	failed    error     // of a read
	long      []byte
}

// run answers until the listener closes. It sleeps in the runtime's poller,
// which holds no processor meanwhile: while nothing arrives, nothing wakes up.
func (l *Listener) run() {
	defer close(l.done)
	lp := &loop{l: l, batch: newBatch(), started: time.Now(), long: make([]byte, longestFrame)}
	lp.notes.recent = l.recent
	for {
		err := l.raw.Read(func(fd uintptr) bool {
			lp.fd = int(fd)
			l.err = lp.answer()
			return l.err != nil || l.stopping.Load() || lp.arm()
		})
		switch {
		case l.err != nil || l.stopping.Load():
			return
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

// answer answers everything that is there. A flood does not keep it from ending.
func (lp *loop) answer() error {
	for rounds := 1; !lp.l.stopping.Load(); rounds++ {
		lp.showAlive()
		lp.batch.begin()
		took := lp.receive()
		lp.sendDue()
		lp.batch.send(lp.fd, lp.l.counters)
		lp.notes.flush()
		if lp.failed != nil {
			return lp.failed
		}
		if !took {
			return lp.checkError()
		}
		yield(rounds%longWork == 0)
	}
	return nil
}

// showAlive answers Alive. Without a question it costs a load.
func (lp *loop) showAlive() {
	asked := lp.l.asked.Load()
	if asked == lp.shown {
		return
	}
	lp.shown = asked
	select { // what lies there answers a question that nobody waits for any more
	case <-lp.l.alive:
	default:
	}
	lp.l.alive <- asked // this loop alone writes
}

// longWork is how many rounds without a sleep are long work: up to 4096 frames.
const longWork = 64

// yield lets other work of this processor go on before the price of a sleep and
// a wake-up is paid: the kernel may be delivering more frames here. In long work
// it makes the call known to the runtime, whose monitor otherwise sleeps on and
// gives no other goroutine a turn; in short work it spares waking that monitor.
func yield(long bool) {
	if long {
		_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		return
	}
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}

// arm sets the time at which the wait for frames ends, where there is one. It
// returns true when that has come already.
func (lp *loop) arm() bool {
	due, waiting := lp.nextDue()
	if !waiting {
		return false
	}
	if lp.l.err = lp.l.conn.SetReadDeadline(lp.started.Add(time.Duration(due))); lp.l.err != nil {
		return true
	}
	// Close and Alive set a deadline as well, and must not lose to this one.
	return lp.l.stopping.Load() || lp.l.asked.Load() != lp.shown || due <= lp.now()
}

// disarm takes the deadline back that arm has set.
func (lp *loop) disarm() error { return lp.l.conn.SetReadDeadline(time.Time{}) }

// checkError takes the error off the socket that has none to read. A link that
// goes down says so once, and the socket works again when it is up.
func (lp *loop) checkError() error {
	switch errno := socketError(lp.fd); errno {
	case 0:
		return nil
	case unix.ENETDOWN:
		return lp.checkDevice()
	default:
		return fmt.Errorf("packet socket: %w", errno)
	}
}

// socketError takes the pending error off a socket. Like all of the calls that
// each solicitation costs it stays hidden from the runtime, see yield.
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

// checkDevice fails when the socket has lost its device for good. One that is still
// about to leave is found out about by Index.
func (lp *loop) checkDevice() error {
	index, err := boundIndex(lp.fd)
	if err == nil && index != lp.l.index {
		err = fmt.Errorf("packet socket: %w", unix.ENODEV)
	}
	return err
}

// receive answers frames until the ring is empty or the batch is full, and
// reports whether there were any.
func (lp *loop) receive() (took bool) {
	ring, iface, view := lp.l.ring, lp.l.iface.Load(), lp.l.view.Load()
	lp.clock = lp.now()
	for !lp.batch.full() && ring.next(&lp.rx) {
		if frame, ok := lp.frame(); ok {
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
	if reason := lp.account(res, limit, iface, view); reason != Probing {
		lp.notes.add(lp.rx.at, frame, &lp.s, res.Kind, reason)
	}
	if res.Reason.valid() && !lp.s.source.IsUnspecified() &&
		lp.last.isNew(lp.s.source, lp.s.asker, view, lp.clock) {
		if sign, ok := lp.s.sight(iface, view); ok {
			lp.handOn(sign)
		}
	}
}

// handOn tells of a sign, unless too many of its kind have come.
func (lp *loop) handOn(sign Sighting) {
	if lp.signs[sign.kind()].take(lp.clock, signRate) {
		lp.l.sighted(sign)
	}
}

// lastSighting spares looking at a station that was just looked at: mostly it is
// the router.
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

// frame returns all octets of the received frame. A frame that the socket had
// no room for either is cut short, and fails validation as such.
func (lp *loop) frame() ([]byte, bool) {
	if !lp.rx.copied {
		return lp.rx.frame, true
	}
	n, err := unix.Read(lp.fd, lp.long)
	if err != nil { // that of the link, which had to be taken off first
		n, err = unix.Read(lp.fd, lp.long)
	}
	if err != nil { // copies and slots no longer go together
		lp.failed = os.NewSyscallError("read", err)
		return nil, false
	}
	return lp.long[:n], true
}

// account counts the result, and keeps the answer that was written or puts it
// off. limit is that of one asker. It returns what became of the solicitation,
// Probing while that is open.
func (lp *loop) account(res Result, limit int, iface *Interface, view *rules.View) Reason {
	c := lp.l.counters
	c.Received[res.Kind].Add(1)
	if res.Redirected {
		c.Redirected.Add(1)
	}
	switch {
	case res.Reason != Answered && res.Reason != Probing:
		c.ignored(res.Reason)
		return res.Reason
	// An asker over its own limit uses nothing of what all share.
	case limit > 0 && !lp.allow(limit, iface):
		c.ignored(RateLimited)
		return RateLimited
	}
	if res.Kind == DAD && !lp.limit.take(lp.clock, multicastRate) {
		lp.s.alone = true
		copy(lp.batch.slot()[offEtherDst:], lp.s.asker[:])
	}
	switch {
	case res.Hold > 0 && lp.held.full():
		c.ignored(Displaced)
		return Displaced
	case res.Hold > 0:
		lp.held.add(lp.clock+int64(res.Hold), res.Delay, res.Kind, &lp.s)
		return Probing
	case res.Delay > 0:
		lp.delay(res.Delay, res.Kind, &lp.s, iface, view)
		return Probing
	case res.Reason == Probing:
		return lp.query(&lp.s, res.Kind, res.verdict, lp.rx.at)
	default:
		lp.batch.add(res.Kind, lp.rx.at)
		return Answered
	}
}

// delay puts an answer off for a random time. When too many wait, the one that
// is due first leaves at once: the delay is there to spread answers, and under a
// flood a short one does that as well.
func (lp *loop) delay(limit time.Duration, k Kind, s *Solicitation, iface *Interface, view *rules.View) {
	if lp.spread.full() {
		d := lp.spread.pop()
		lp.finish(&d, iface, view)
	}
	lp.spread.add(lp.clock+spread(limit), 0, k, s)
}

// query hands a solicitation on, to come back when its target was asked.
func (lp *loop) query(s *Solicitation, k Kind, v *rules.Verdict, at int64) Reason {
	q := Query{Target: s.target, Uplink: lp.l.iface.Load().facts.Uplink.Interface, Verdict: *v, listener: lp.l, kind: k, at: at, s: *s}
	if !lp.l.ask(q) {
		lp.l.counters.refused()
		return ProbeLimited
	}
	return Probing
}

// allow reports whether the asker may have another answer.
func (lp *loop) allow(limit int, iface *Interface) bool {
	if lp.askers == nil {
		lp.askers = newAskers()
	}
	return lp.askers.take(&lp.s, iface.isNextHop(lp.s.source), lp.clock, limit)
}

// now is the clock of delays and limits, in nanoseconds.
func (lp *loop) now() int64 { return int64(time.Since(lp.started)) }

// nextDue returns when the first delayed answer is due.
func (lp *loop) nextDue() (due int64, waiting bool) {
	due, waiting = lp.held.next()
	if other, also := lp.spread.next(); also && (!waiting || other < due) {
		return other, true
	}
	return due, waiting
}

// sendDue answers the delayed solicitations whose time has come by the rules
// and the interface as they are now.
func (lp *loop) sendDue() {
	if _, waiting := lp.nextDue(); !waiting {
		return
	}
	lp.clock = lp.now()
	iface, view := lp.l.iface.Load(), lp.l.view.Load()
	for due, ok := lp.held.next(); ok && due <= lp.clock; due, ok = lp.held.next() {
		d := lp.held.pop()
		if lp.makeRoom(); d.delay > 0 {
			lp.delay(d.delay, d.kind, &d.s, iface, view)
			continue
		}
		lp.finish(&d, iface, view)
	}
	for due, ok := lp.spread.next(); ok && due <= lp.clock; due, ok = lp.spread.next() {
		d := lp.spread.pop()
		lp.makeRoom()
		lp.finish(&d, iface, view)
	}
}

// makeRoom sends the batch when it is full.
func (lp *loop) makeRoom() {
	if lp.batch.full() {
		lp.batch.send(lp.fd, lp.l.counters)
	}
}

// finish answers a solicitation that has waited. The batch must have room.
func (lp *loop) finish(d *delayed, iface *Interface, view *rules.View) {
	verdict, reason := d.s.answer(lp.batch.slot(), iface, view)
	at := time.Now().UnixNano()
	switch reason {
	case Answered:
		lp.batch.add(d.kind, at)
	case Probing:
		reason = lp.query(&d.s, d.kind, verdict, at)
	case NoRule, Silent(rules.Denied), Silent(rules.NoRoute):
		reason = Withdrawn
		fallthrough
	default:
		lp.l.counters.ignored(reason)
	}
	if reason != Probing {
		lp.notes.add(at, nil, &d.s, d.kind, reason)
	}
}
