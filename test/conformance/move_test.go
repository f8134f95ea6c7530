// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// mover is a listener on a node's uplink that a test moves.
type mover struct {
	*ndp.Listener
	net      *harness.Network
	iface    *ndp.Interface
	view     *rules.View
	sighted  func(ndp.Sighting)
	counters *ndp.Counters
}

// newMover starts one.
func newMover(t *testing.T, sighted func(ndp.Sighting), more ...rules.Rule) *mover {
	t.Helper()
	m := &mover{net: harness.NewNetwork(t), sighted: sighted, counters: new(ndp.Counters)}
	uplink, err := m.net.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	table, err := rules.Compile(append(more, conformance.Rules()...))
	harness.Must(t, err)
	m.iface = ndp.NewInterface(conformance.Link(uplink.Attrs().Index), rules.Uplink{Interface: harness.Uplink})
	m.view = table.View(harness.Uplink)
	m.listen(t)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// listen starts the listener, and starts it anew.
func (m *mover) listen(t *testing.T) {
	t.Helper()
	harness.Must(t, m.net.Node.Do(func() (err error) {
		m.Listener, err = ndp.Listen(ndp.ListenConfig{Interface: m.iface, View: m.view, Counters: m.counters, Sighted: m.sighted})
		return err
	}))
}

// move moves the listener, in the node's namespace.
func (m *mover) move(early bool) error {
	return m.net.Node.Do(func() error { return m.SetEarly(early) })
}

// strangers counts the frames that leave a device by the kernel's idea of their protocol,
// and returns how many are no IPv6.
func (m *mover) strangers(t *testing.T) func() uint64 {
	t.Helper()
	const protocolOfFrame = 16 // in struct __sk_buff
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	harness.Must(t, err)
	t.Cleanup(func() { _ = counts.Close() })
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "strangers", Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R6, asm.R1, protocolOfFrame, asm.Word),
			asm.HostTo(asm.BE, asm.R6, asm.Half),
			asm.JEq.Imm(asm.R6, 0x86dd, "out"),
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, counts.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Imm(asm.R1, 1),
			asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
			asm.Mov.Imm(asm.R0, -1).WithSymbol("out"), // the next program's turn
			asm.Return(),
		},
	})
	harness.Must(t, err)
	t.Cleanup(func() { _ = program.Close() })
	harness.Must(t, m.net.Node.Do(func() error {
		at, err := link.AttachTCX(link.TCXOptions{Interface: m.Index(), Program: program, Attach: ebpf.AttachTCXEgress})
		if err == nil {
			t.Cleanup(func() { _ = at.Close() })
		}
		return err
	}))
	return func() (n uint64) {
		harness.Must(t, counts.Lookup(uint32(0), &n))
		return n
	}
}

// TestMoveProtocol moves a listener while it answers and announces: whatever leaves is
// IPv6 for filters behind it, too, which go by what the sender says.
func TestMoveProtocol(t *testing.T) {
	t.Parallel()
	m := newMover(t, nil)
	strangers := m.strangers(t)
	announcement, err := m.iface.Unsolicited(conformance.Pod, false, false)
	harness.Must(t, err)
	harness.Flood(t, m.net.Router, harness.RouterPort, 20_000, harness.Frames(100, func(i int) conformance.Frame {
		return conformance.Solicitation(target(i))
	}))
	end := make(chan struct{})
	var announcing sync.WaitGroup
	announcing.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				_ = m.Send(announcement) // the queue may be full
			}
		}
	})
	for i := range 20 {
		harness.Must(t, m.move(i%2 == 0))
	}
	close(end)
	announcing.Wait()
	if n := strangers(); n != 0 {
		t.Errorf("%d frames left with another protocol than IPv6", n)
	}
	if m.counters.Answered[ndp.Multicast].Load() == 0 {
		t.Error("nothing was answered")
	}
}

// packetSockets returns how many packet sockets there are in a namespace.
func packetSockets(t *testing.T, ns *lab.Namespace) (n int) {
	t.Helper()
	harness.Must(t, ns.Do(func() error {
		table, err := os.ReadFile("/proc/thread-self/net/packet")
		n = bytes.Count(table, []byte("\n")) - 1 // the heading
		return err
	}))
	return n
}

// hold keeps the receive loop of a listener in a call, until it is released.
type hold struct {
	entered, released chan struct{}
}

func newHold(t *testing.T) *hold {
	t.Helper()
	h := &hold{entered: make(chan struct{}), released: make(chan struct{})}
	t.Cleanup(h.release)
	return h
}

func (h *hold) sighted(ndp.Sighting) {
	select {
	case <-h.released:
	case h.entered <- struct{}{}:
		<-h.released
	}
}

func (h *hold) release() {
	select {
	case <-h.released:
	default:
		close(h.released)
	}
}

// catch has the loop of a listener held.
func (h *hold) catch(t *testing.T, m *mover) {
	t.Helper()
	harness.OpenPort(t, m.net.Router, harness.RouterPort).Send(conformance.Claim(conformance.Pod, conformance.OtherMAC).Bytes())
	select {
	case <-h.entered:
	case <-time.After(harness.Patience):
		t.Fatal("the claim is not seen")
	}
}

// TestMoveStuck moves a listener whose receive loop hangs: the move fails, the listener
// stops once its loop goes on, and nothing of it stays.
func TestMoveStuck(t *testing.T) {
	t.Parallel()
	h := newHold(t)
	m := newMover(t, h.sighted)
	h.catch(t, m)
	moved := make(chan error)
	go func() { moved <- m.move(true) }()
	select {
	case err := <-moved:
		if err == nil {
			t.Error("moved without the loop")
		}
	case <-time.After(harness.Patience):
		t.Fatal("the move waits for good")
	}
	h.release()
	select {
	case <-m.Done():
	case <-time.After(harness.Patience):
		t.Fatal("the listener goes on, with a socket that may receive nothing")
	}
	if err := m.Close(); err == nil {
		t.Error("nothing says why the listener has stopped")
	}
	if n := packetSockets(t, m.net.Node); n != 0 {
		t.Errorf("%d packet sockets stay", n)
	}
}

// TestMoveToNewcomer moves a listener whose device has gone, and another one has its
// index: the listener is not the newcomer's, so that its owner sees that it has lost its own.
func TestMoveToNewcomer(t *testing.T) {
	t.Parallel()
	m := newMover(t, nil)
	index := m.Index()
	harness.Must(t, m.net.Node.Down(harness.Uplink))
	harness.Must(t, m.Alive(t.Context())) // it knows no more than that the device is down
	harness.Must(t, m.net.Node.Delete(harness.Uplink))
	harness.Must(t, m.net.Node.Link.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: harness.Uplink, Index: index}, PeerName: "peer",
	}))
	if err := m.move(true); !errors.Is(err, unix.ENODEV) {
		t.Errorf("moved to another device: %v", err)
	}
	if m.Index() == index {
		t.Error("the listener is another device's")
	}
}

// TestMoveKeeps moves a listener to and fro while answers wait for their time, and
// while it announces: each answer and each announcement arrives, once.
func TestMoveKeeps(t *testing.T) {
	t.Parallel()
	const each = 60 // which the port keeps until they are read
	late := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:2::/64"), Method: rules.Static, Delay: rules.MaxDelay}
	m := newMover(t, nil, late)
	port := harness.OpenPort(t, m.net.Router, harness.RouterPort)
	due := func(i int) netip.Addr { // delayed by a second at most
		b := late.Prefix.Addr().As16()
		b[15] = byte(i)
		return netip.AddrFrom16(b)
	}
	for i := range each {
		port.Send(conformance.Solicitation(due(i)).Bytes())
	}
	var moving sync.WaitGroup
	moving.Go(func() {
		for i := range 6 {
			if err := m.move(i%2 == 0); err != nil {
				t.Errorf("move %d: %v", i, err)
			}
		}
	})
	for i := range each {
		frame, err := m.iface.Unsolicited(target(i), false, false)
		harness.Must(t, err)
		harness.Must(t, m.Send(frame))
		time.Sleep(time.Millisecond) // a move takes some ten
	}
	moving.Wait()
	arrived := make(map[netip.Addr]int)
	for _, f := range port.Count(2 * each) {
		arrived[netip.AddrFrom16([16]byte(f[62:78]))]++
	}
	for i := range each {
		if n := arrived[due(i)]; n != 1 {
			t.Errorf("%d delayed answers for %s", n, due(i))
		}
		if n := arrived[target(i)]; n != 1 {
			t.Errorf("%d announcements of %s", n, target(i))
		}
	}
}

// TestMoveAndClose closes listeners that are being moved, at different times of the
// move: both come back, and no socket stays.
func TestMoveAndClose(t *testing.T) {
	t.Parallel()
	m := newMover(t, nil)
	for i := range 30 {
		moved := make(chan error, 1)
		go func() { moved <- m.move(true) }()
		time.Sleep(time.Duration(i) * time.Millisecond) // a move takes some ten
		harness.Must(t, m.Close())
		select {
		case <-moved: // in time, or not
		case <-time.After(harness.Patience):
			t.Fatal("the move of a closed listener waits for good")
		}
		if n := packetSockets(t, m.net.Node); n != 0 {
			t.Fatalf("%d packet sockets stay when closed after %d ms", n, i)
		}
		m.listen(t)
	}
}

// TestMoveWithoutDevice removes the device in the middle of a move, so that the new
// socket cannot be bound: the move fails, the listener ends, and no socket stays.
func TestMoveWithoutDevice(t *testing.T) {
	t.Parallel()
	h := newHold(t)
	m := newMover(t, h.sighted)
	h.catch(t, m)
	moved := make(chan error, 1)
	go func() { moved <- m.move(true) }()
	for began := time.Now(); packetSockets(t, m.net.Node) < 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > harness.Patience {
			t.Fatal("the move opens no socket")
		}
	}
	harness.Must(t, m.net.Node.Delete(harness.Uplink))
	h.release()
	if err := <-moved; err == nil {
		t.Error("moved without a device")
	}
	select {
	case <-m.Done():
	case <-time.After(harness.Patience):
		t.Fatal("the listener goes on without a device")
	}
	if err := m.Close(); !errors.Is(err, unix.ENODEV) {
		t.Errorf("closed with: %v", err)
	}
	if n := packetSockets(t, m.net.Node); n != 0 {
		t.Errorf("%d packet sockets stay", n)
	}
}
