// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// ListenConfig is what a Listener starts with.
type ListenConfig struct {
	// Interface is the uplink's facts, which also name the device.
	Interface *Interface
	// View is what to answer for; nil for nothing yet.
	View *rules.View
	// Counters take the figures. They may have been used before.
	Counters *Counters
	// Recent takes what became of solicitations. It may have been used before.
	Recent *Recent
	// Sighted hears of other stations that use an address of ours: of one that
	// is alone about once a second, and of 2,000 signs of a kind a second at
	// most. Ask takes a solicitation whose target has to be asked first, and
	// returns false when it has no room; every query it takes must come back by
	// Settle or Refuse. Both must not block. Nil is nobody.
	Sighted func(Sighting)
	Ask     func(Query) bool
	// PathChanged hears that another way answers, without a call of the responder's
	// owner, see [Responder.Path]. It must not block. A packet socket never calls it.
	PathChanged func()
}

// Listener answers on one device until Close. When the device is gone it either
// ends by itself, which closes Done, or receives nothing any more, which Index
// shows; it must be closed in both cases.
type Listener struct {
	socket   atomic.Pointer[packetSocket] // the receive loop replaces it, see move
	index    int
	since    time.Time
	counters *Counters
	recent   *Recent
	sighted  func(Sighting)
	ask      func(Query) bool
	moving   atomic.Pointer[move] // nil but for a moment
	leaving  atomic.Bool          // Send names where to, as the socket is about to be replaced
	stopping atomic.Bool
	asked    atomic.Uint32 // how often Alive has asked
	alive    chan uint32   // the loop's answer
	done     chan struct{}
	err      error // of the loop; read it after done

	iface atomic.Pointer[Interface]
	view  atomic.Pointer[rules.View]

	mu           sync.Mutex      // orders changes of the socket; the receive loop does not take it
	early        bool            // where the socket is
	allMulticast int             // how many ask for it
	stranded     []*packetSocket // of a move that the loop did not make in time; Close closes them

	statsMu sync.Mutex    // PACKET_STATISTICS resets what it returns
	asking  chan struct{} // holds one while Alive asks: one does at a time
}

// Listen opens the packet socket of the interface and starts to answer. It
// needs CAP_NET_RAW, and fails with an error that wraps [os.ErrPermission]
// without it. Other errors, such as that there is no descriptor left, leave
// nothing behind: call it again later. The filter is in force before the first
// frame can be queued. The socket is behind the hooks of tc and of nftables'
// ingress, which may hide solicitations, until [Listener.SetEarly] moves it.
func Listen(cfg ListenConfig) (*Listener, error) {
	s, err := openPacketSocket(cfg.Interface, cfg.View)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		index: cfg.Interface.facts.Index, since: time.Now(), counters: cfg.Counters,
		recent: cfg.Recent, sighted: cfg.Sighted, ask: cfg.Ask,
		alive: make(chan uint32, 1), asking: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.socket.Store(s)
	if l.recent == nil {
		l.recent = new(Recent)
	}
	if l.sighted == nil {
		l.sighted = func(Sighting) {}
	}
	if l.ask == nil {
		l.ask = func(Query) bool { return false }
	}
	l.iface.Store(cfg.Interface)
	l.view.Store(cfg.View)
	if err := s.bind(l.index, protocolOf(l.early)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	go l.run()
	return l, nil
}

// control calls f with the socket's descriptor. Where f fails, and another socket has taken
// this one's place by then, f is called once more, with that one's descriptor.
func (l *Listener) control(f func(fd int) error) error {
	for {
		s := l.socket.Load()
		if err := s.control(f); err == nil || l.socket.Load() == s {
			return err
		}
	}
}

// wake wakes the receive loop up.
func (l *Listener) wake() error {
	for {
		s := l.socket.Load()
		if err := s.conn.SetReadDeadline(time.Unix(1, 0)); err == nil || l.socket.Load() == s {
			return err
		}
	}
}

// Index returns the index of the device that the socket is bound to. It differs from
// the one that the socket was opened with when that device is gone, even if another
// device has got the same index since. The socket itself learns only that the device
// went down, not that it was removed, so the owner has to look.
func (l *Listener) Index() int {
	index := l.index
	_ = l.control(func(fd int) (err error) { // fails on a stopped listener only, which Done shows
		index, err = boundIndex(fd)
		return err
	})
	return index
}

// boundIndex returns the index of the device that a packet socket is bound to, and -1
// where it has none any more.
func boundIndex(fd int) (int, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return -1, os.NewSyscallError("getsockname", err)
	}
	sll, ok := name.(*unix.SockaddrLinklayer)
	if !ok {
		return -1, nil
	}
	return sll.Ifindex, nil
}

// Done is closed when the listener has stopped, by Close or by an error.
func (l *Listener) Done() <-chan struct{} { return l.done }

// SetInterface replaces the facts that answers are made from. Where they want the socket to
// be early, it is SetEarly that moves it. Should the filter not take new routers they are not
// heard, until the view changes.
func (l *Listener) SetInterface(i *Interface) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.iface.Swap(i); !slices.Equal(askedRouters(old), askedRouters(i)) {
		_ = l.setFilter(l.view.Load())
	}
}

// setFilter replaces the packet filter.
func (l *Listener) setFilter(v *rules.View) error {
	f, err := filter(l.index, v, askedRouters(l.iface.Load()))
	if err != nil {
		return err
	}
	if err := l.socket.Load().conn.SetBPF(f); err != nil {
		return fmt.Errorf("replace packet filter: %w", err)
	}
	return nil
}

// SetView replaces what is answered for, without a moment in which a target of
// both views is unanswered. The packet socket has no use for the differences.
func (l *Listener) SetView(v *rules.View, _ []rules.Delta) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.view.Load(); slices.Equal(old.Hears(), v.Hears()) { // as when only entries changed
		l.view.Store(v)
		return nil
	}
	if err := l.setFilter(v); err != nil {
		return err
	}
	l.view.Store(v)
	return nil
}

// SetAllMulticast asks the device for all multicast frames, or takes that
// back. The kernel takes it back by itself when the socket closes.
func (l *Listener) SetAllMulticast(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.socket.Load().setAllMulticast(l.index, on); err != nil {
		return err
	}
	if on {
		l.allMulticast++
	} else {
		l.allMulticast--
	}
	return nil
}

// CountDrops adds what the kernel lost since the last call to the counters.
func (l *Listener) CountDrops() error {
	l.statsMu.Lock()
	defer l.statsMu.Unlock()
	return l.countDropsOf(l.socket.Load())
}

// countDropsOf does so for a socket.
func (l *Listener) countDropsOf(s *packetSocket) error {
	stats, err := s.conn.Stats()
	if err != nil {
		return fmt.Errorf("read socket statistics: %w", err)
	}
	l.counters.Drops.Add(uint64(stats.Drops))
	return nil
}

// Alive wakes the receive loop up and waits until it has gone round once. It
// returns ctx's error when that does not happen in time, and nil for a listener that
// has stopped, which Done shows.
func (l *Listener) Alive(ctx context.Context) error {
	select { // whoever asks a loop that is stuck may have more time than we do
	case l.asking <- struct{}{}:
		defer func() { <-l.asking }()
	case <-ctx.Done():
		return errNotRound(ctx)
	}
	want := l.asked.Add(1)
	if err := l.wake(); err != nil {
		if l.stopping.Load() { // it was closed meanwhile
			return nil
		}
		return fmt.Errorf("wake the receive loop: %w", err)
	}
	for {
		select {
		case got := <-l.alive:
			if got == want { // not the late answer to one before
				return nil
			}
		case <-l.done:
			return nil
		case <-ctx.Done():
			return errNotRound(ctx)
		}
	}
}

// errNotRound is the error of a loop that did not go round before ctx ended.
func errNotRound(ctx context.Context) error {
	return fmt.Errorf("the receive loop does not go round: %w", ctx.Err())
}

// Path implements [Responder].
func (l *Listener) Path() Path { return Path{Way: WaySocket, Since: l.since} }

// Settle implements [Responder]. A packet socket inherits nothing.
func (l *Listener) Settle() {}

// Relieve implements [Responder]. A packet socket keeps nothing from the kernel.
func (l *Listener) Relieve() {}

// Hold is Close: no packet socket outlives its process.
func (l *Listener) Hold() error { return l.Close() }

// Close stops answering and releases the socket with all its memberships. It
// returns the error that had stopped the listener before, if one had.
func (l *Listener) Close() error {
	l.stopping.Store(true)
	err := l.wake()
	<-l.done
	l.mu.Lock() // for a move that has not seen it yet
	defer l.mu.Unlock()
	err = errors.Join(l.err, err, l.CountDrops(), l.socket.Load().close())
	if l.stranded != nil {
		err = errors.Join(errStuck, err)
	}
	for _, s := range l.stranded {
		err = errors.Join(err, s.close())
	}
	return err
}
