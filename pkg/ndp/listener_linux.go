// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// ListenConfig is what a Listener starts with.
type ListenConfig struct {
	// Interface is the uplink's facts, which also name the device.
	Interface *Interface
	// View is what to answer for; nil for nothing yet.
	View *rules.View
	// Early puts the socket before the hooks of tc and of nftables' ingress,
	// which otherwise may hide solicitations.
	Early bool
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
	conn     *packet.Conn
	raw      syscall.RawConn
	index    int
	since    time.Time
	counters *Counters
	recent   *Recent
	sighted  func(Sighting)
	ask      func(Query) bool
	ring     *ring
	stopping atomic.Bool
	asked    atomic.Uint32 // how often Alive has asked
	alive    chan uint32   // the loop's answer
	done     chan struct{}
	err      error // of the loop; read it after done

	iface atomic.Pointer[Interface]
	view  atomic.Pointer[rules.View]

	statsMu sync.Mutex    // PACKET_STATISTICS resets what it returns
	asking  chan struct{} // holds one while Alive asks: one does at a time
}

// Listen opens the packet socket of the interface and starts to answer. It
// needs CAP_NET_RAW, and fails with an error that wraps [os.ErrPermission]
// without it. Other errors, such as that there is no descriptor left, leave
// nothing behind: call it again later. The filter is in force before the first
// frame can be queued.
func Listen(cfg ListenConfig) (*Listener, error) {
	f, err := filter(cfg.Interface.facts.Index, cfg.View, askedRouters(cfg.Interface))
	if err != nil {
		return nil, err
	}
	// Protocol 0 receives nothing, until the ring is there and bind names one.
	conn, err := packet.Listen(&net.Interface{Index: cfg.Interface.facts.Index}, packet.Raw, 0, &packet.Config{Filter: f})
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	l := &Listener{
		conn: conn, index: cfg.Interface.facts.Index, since: time.Now(), counters: cfg.Counters,
		recent: cfg.Recent, sighted: cfg.Sighted, ask: cfg.Ask,
		alive: make(chan uint32, 1), asking: make(chan struct{}, 1), done: make(chan struct{}),
	}
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
	if err := l.open(cfg.Early); err != nil {
		return nil, errors.Join(err, l.release())
	}
	go l.run()
	return l, nil
}

// open sets the socket up and binds it, which starts reception.
func (l *Listener) open(early bool) error {
	var err error
	if l.raw, err = l.conn.SyscallConn(); err != nil {
		return fmt.Errorf("access packet socket: %w", err)
	}
	protocol := uint16(unix.ETH_P_IPV6)
	if early {
		protocol = unix.ETH_P_ALL
	}
	return l.control(func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return fmt.Errorf("ignore outgoing frames: %w", err)
		}
		if l.ring, err = openRing(fd); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.index, Protocol: htons(protocol)}); err != nil {
			return fmt.Errorf("bind packet socket: %w", err)
		}
		return nil
	})
}

// htons returns the value in network byte order, as sll_protocol wants it.
func htons(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

func (l *Listener) control(f func(fd int) error) error {
	var inner error
	err := l.raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
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

// SetInterface replaces the facts that answers are made from. Should the filter not take
// new routers they are not heard, until the view changes.
func (l *Listener) SetInterface(i *Interface) {
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
	if err := l.conn.SetBPF(f); err != nil {
		return fmt.Errorf("replace packet filter: %w", err)
	}
	return nil
}

// SetView replaces what is answered for, without a moment in which a target of
// both views is unanswered. The packet socket has no use for the differences.
func (l *Listener) SetView(v *rules.View, _ []rules.Delta) error {
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
	option := unix.PACKET_DROP_MEMBERSHIP
	if on {
		option = unix.PACKET_ADD_MEMBERSHIP
	}
	mreq := unix.PacketMreq{Ifindex: int32(l.index), Type: unix.PACKET_MR_ALLMULTI} //nolint:gosec // an index
	return l.control(func(fd int) error {
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, option, &mreq); err != nil {
			return fmt.Errorf("set all-multicast: %w", err)
		}
		return nil
	})
}

// CountDrops adds what the kernel lost since the last call to the counters.
func (l *Listener) CountDrops() error {
	l.statsMu.Lock()
	defer l.statsMu.Unlock()
	stats, err := l.conn.Stats()
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
	if err := l.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
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
	err := l.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the loop up
	<-l.done
	return errors.Join(l.err, err, l.CountDrops(), l.release())
}

func (l *Listener) release() error {
	var errs []error
	if l.ring != nil {
		errs = append(errs, l.ring.close())
	}
	return errors.Join(append(errs, l.conn.Close())...)
}
