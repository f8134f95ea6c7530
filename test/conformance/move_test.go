// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"bytes"
	"errors"
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
	counters *ndp.Counters
}

// newMover starts one.
func newMover(t *testing.T, sighted func(ndp.Sighting), more ...rules.Rule) *mover {
	t.Helper()
	m := &mover{net: harness.NewNetwork(t), counters: new(ndp.Counters)}
	uplink, err := m.net.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	table, err := rules.Compile(append(more, conformance.Rules()...))
	harness.Must(t, err)
	m.iface = ndp.NewInterface(conformance.Link(uplink.Attrs().Index), rules.Uplink{Interface: harness.Uplink})
	harness.Must(t, m.net.Node.Do(func() error {
		m.Listener, err = ndp.Listen(ndp.ListenConfig{
			Interface: m.iface, View: table.View(harness.Uplink), Counters: m.counters, Sighted: sighted,
		})
		return err
	}))
	t.Cleanup(func() { _ = m.Close() })
	return m
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
