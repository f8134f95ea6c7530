// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"
)

// move is a listener's way from one packet socket to another, so that each frame is taken
// by exactly one of both. For a moment both receive; the loop reads the old one, and notes
// what it reads. Then the old one stops to receive. Once the loop has read all that had
// come by then, it goes on with the new one, and passes over what it has noted.
type move struct {
	to    *packetSocket
	joins chan struct{} // closed by the loop, which notes from now on
	err   error         // why the loop has to stay with the old socket; it is there with ended
	ended atomic.Bool   // one of the sockets receives nothing any more
	done  chan struct{} // closed by the loop, which has gone over, or has stayed
}

// stampsOn is how long the kernel gets to begin to note the time at which it receives
// frames, which it does in the background. Should it take longer, frames are told apart by
// their octets alone.
const stampsOn = 10 * time.Millisecond

// moveWait is how long a move waits for the receive loop in all. The loop goes round in
// less than sendWait and what it has to compute, so that one that takes longer is stuck.
const moveWait = 5 * time.Second

var (
	// errStopped says that there is no receive loop any more.
	errStopped = errors.New("the listener has stopped")
	// errStuck says that the receive loop did not make a move.
	errStuck = errors.New("the receive loop does not go round, and is to stop")
)

// SetEarly moves the socket before the hooks of tc and of nftables' ingress, or behind
// them. Meanwhile, which takes some ten milliseconds, each solicitation is answered once.
// Where it fails, the socket stays where it is, or the listener stops, which Done shows: so
// it does when its receive loop does not take part within moveWait.
func (l *Listener) SetEarly(early bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if early == l.early {
		return nil
	}
	if err := l.moveTo(protocolOf(early)); err != nil {
		return fmt.Errorf("move packet socket: %w", err)
	}
	l.early = early
	return nil
}

// moveTo moves the listener to another socket, which receives by a protocol.
func (l *Listener) moveTo(protocol uint16) error {
	old := l.socket.Load()
	to, err := l.openNext()
	if err != nil {
		return err
	}
	if err := old.setStamps(true); err != nil {
		return errors.Join(err, to.close())
	}
	l.leaving.Store(true) // long before passOver, so that no send is still on its way without
	defer l.leaving.Store(false)
	time.Sleep(stampsOn)
	err = l.passOver(old, to, protocol)
	if errors.Is(err, errStuck) { // nobody knows which one the loop will read last
		l.stranded = []*packetSocket{old, to}
		return err
	}
	if l.socket.Load() != to { // the loop, which replaces it, has stayed or has ended
		return errors.Join(err, old.setStamps(false), to.close())
	}
	l.statsMu.Lock() // nobody reads the old one's figures any more when it closes
	_ = l.countDropsOf(old)
	l.statsMu.Unlock()
	_ = old.close() // nothing is lost by it: the new one answers
	return nil
}

// openNext opens a socket that may take the place of the present one.
func (l *Listener) openNext() (*packetSocket, error) {
	s, err := openPacketSocket(l.iface.Load(), l.view.Load())
	if err != nil {
		return nil, err
	}
	for range l.allMulticast { // the present socket takes its own with it
		if err := s.setAllMulticast(l.index, true); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// passOver has the loop go over from one socket to another, and fails where it has not.
func (l *Listener) passOver(old, to *packetSocket, protocol uint16) error {
	m := &move{to: to, joins: make(chan struct{}), done: make(chan struct{})}
	l.moving.Store(m)
	late := time.After(moveWait)
	if err := l.awaitLoop(m.joins, late); err != nil { // nothing that both receive is not noted
		return err
	}
	// A bind takes any device of that index, also one that has come since.
	if m.err = old.control(func(fd int) error { return checkDevice(fd, l.index) }); m.err == nil {
		m.err = to.bind(l.index, protocol)
	}
	if m.err == nil {
		m.err = old.bind(l.index, noProtocol)
	}
	m.ended.Store(true)
	return errors.Join(l.awaitLoop(m.done, late), m.err)
}

// awaitLoop wakes the loop up and waits until it has closed a channel. A loop that does
// not, until the time is up, is stuck and has to stop as soon as it goes round again: it may
// read a socket that receives nothing any more.
func (l *Listener) awaitLoop(closed <-chan struct{}, late <-chan time.Time) error {
	_ = l.wake() // which fails on a stopped listener only, as done shows
	select {
	case <-closed:
		return nil
	case <-l.done:
		return errStopped
	case <-late:
		l.stopping.Store(true)
		_ = l.wake()
		return errStuck
	}
}

// joinMove takes part in a move, if there is one: it begins to note frames once. It reports
// whether the frames that have come are the last ones of the old socket.
func (lp *loop) joinMove() (ended bool) {
	m := lp.l.moving.Load()
	if m == nil {
		return false
	}
	ended = m.ended.Load()
	if lp.overlap.noted == nil {
		lp.overlap.begin()
		lp.batch.name(lp.l.index, true)
		close(m.joins)
	}
	return ended
}

// moveWaits reports whether there is a move that waits for the loop.
func (lp *loop) moveWaits() bool {
	m := lp.l.moving.Load()
	return m != nil && (lp.overlap.noted == nil || m.ended.Load())
}

// goOver goes on with the new socket of a move, or with the old one where the move has failed.
func (lp *loop) goOver() {
	m := lp.l.moving.Load()
	lp.drained = false
	lp.batch.name(lp.l.index, false)
	if m.err == nil {
		lp.rx = received{} // it points to the old ring, which is about to go
		lp.overlap.pass()
		lp.l.socket.Store(m.to)
	} else {
		lp.overlap.noted = nil
	}
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
	return (o.noted != nil || o.passed != nil) && o.look(rx)
}

// look does so while there is something to look at.
func (o *overlap) look(rx *received) bool {
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
