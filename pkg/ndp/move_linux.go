// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// move is a listener's way from one packet socket to another, so that each frame is taken
// by exactly one of both. For a moment both receive; the loop reads the old one, and notes
// what it reads. Then the old one stops to receive. Once the loop has read all that had
// come by then, it goes on with the new one, and passes over what it has noted.
type move struct {
	to    *packetSocket
	noted chan struct{} // closed by the loop, which notes from now on
	ended atomic.Bool   // the old socket receives nothing any more
	err   error         // why the listener has to end instead; it is there with ended
	done  chan struct{} // closed by the loop, which reads the new socket
}

// stampsOn is how long the kernel gets to begin to note the time at which it receives
// frames, which it does in the background. Should it take longer, frames are told apart by
// their octets alone.
const stampsOn = 10 * time.Millisecond

// moveTo moves the listener to a socket at another place. Where that fails, the listener
// ends, and Close returns why. The caller holds l.mu.
func (l *Listener) moveTo(early bool) {
	m := &move{noted: make(chan struct{}), done: make(chan struct{})}
	old := l.socket.Load()
	if m.err = l.beginMove(m, old, early); m.err == nil {
		m.err = old.bind(l.index, noProtocol)
	}
	l.moving.Store(m) // where it has failed before that
	m.ended.Store(true)
	_ = l.wake() // which fails on a stopped listener only, which Done shows
	select {
	case <-m.done:
		l.statsMu.Lock()
		_ = l.countDropsOf(old)
		l.statsMu.Unlock()
		_ = old.close()
	case <-l.done:
		if m.to != nil {
			_ = m.to.close()
		}
	}
}

// beginMove has both sockets receive.
func (l *Listener) beginMove(m *move, old *packetSocket, early bool) error {
	err := old.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) })
	if err != nil {
		return fmt.Errorf("have frames stamped: %w", err)
	}
	if m.to, err = openPacketSocket(l.iface.Load(), l.view.Load()); err != nil {
		return err
	}
	for range l.allMulticast { // the old socket takes its own with it
		if err := m.to.setAllMulticast(l.index, true); err != nil {
			return err
		}
	}
	time.Sleep(stampsOn)
	l.moving.Store(m)
	_ = l.wake()
	select {
	case <-m.noted: // so that nothing which both receive is not noted
	case <-l.done:
		return errors.New("the listener has stopped")
	}
	return m.to.bind(l.index, protocolOf(early))
}

// moving returns the move that the loop is to take part in, nil for none, and whether the
// old socket receives nothing any more.
func (lp *loop) moving() (m *move, ended bool) {
	if m = lp.l.moving.Load(); m == nil {
		return nil, false
	}
	ended = m.ended.Load()
	if lp.overlap.noted == nil {
		lp.overlap.begin()
		close(m.noted)
	}
	return m, ended
}

// moveWaits reports whether there is a move that waits for the loop.
func (lp *loop) moveWaits() bool {
	m := lp.l.moving.Load()
	return m != nil && (lp.overlap.noted == nil || m.ended.Load())
}

// replace goes on with the new socket.
func (lp *loop) replace() {
	m := lp.l.moving.Load()
	lp.overlap.pass()
	lp.drained = false
	lp.l.socket.Store(m.to)
	lp.l.moving.Store(nil)
	close(m.done)
}

// overlap tells which frames two sockets have both received. While nothing moves it is
// empty, and costs two comparisons for each frame.
type overlap struct {
	noted  map[sameFrame]int // how often frames were read from the old socket; nil while nothing is noted
	passed map[sameFrame]int // how often they are to be passed over on the new one; nil for never
	left   int               // how many frames passed is for
	seed   maphash.Seed
}

// sameFrame is what a frame has in common on all sockets.
type sameFrame struct {
	at     int64 // its stamp, 0 where it has none
	octets uint64
}

// begin notes frames from now on.
func (o *overlap) begin() {
	o.noted = make(map[sameFrame]int)
	if o.passed == nil { // of a move just before
		o.seed = maphash.MakeSeed()
	}
}

// pass passes over what was noted: it is among the frames that wait in the new ring.
func (o *overlap) pass() { o.noted, o.passed, o.left = nil, o.noted, ringSlots }

// end says that no more frames wait.
func (o *overlap) end() { o.passed = nil }

// has reports whether a frame was read from the old socket, and notes it.
func (o *overlap) has(rx *received) bool {
	if o.noted == nil && o.passed == nil {
		return false
	}
	f := sameFrame{octets: maphash.Bytes(o.seed, rx.frame)}
	if rx.stamped {
		f.at = rx.at
	}
	if o.noted != nil {
		o.noted[f]++
	}
	found := o.passed[f] > 0
	if found {
		o.passed[f]--
	}
	if o.left--; o.left <= 0 {
		o.end()
	}
	return found
}
