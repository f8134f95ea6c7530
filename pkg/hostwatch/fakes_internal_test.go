// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// fakeKernel is a kernel that a test writes to.
type fakeKernel struct {
	mu      sync.Mutex
	fails   []error       // what the next requests fail with; nil lets one succeed
	block   chan struct{} // while it is not nil and open, readings of routes wait
	links   []Device
	list    []Route
	known   [][]byte // bodies of RTM_NEWNEIGH
	during  func()   // called in each reading of routes
	dumps   int      // readings of routes
	sockets []*fakeSocket
}

func (k *fakeKernel) fail() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.fails) == 0 {
		return nil
	}
	err := k.fails[0]
	k.fails = k.fails[1:]
	return err
}

func (k *fakeKernel) subscribe(...uint) (subscription, error) {
	if err := k.fail(); err != nil {
		return nil, err
	}
	s := &fakeSocket{messages: make(chan fakeMessage, 1024), closed: make(chan struct{})}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sockets = append(k.sockets, s)
	return s, nil
}

func (k *fakeKernel) devices() ([]Device, error) {
	err := k.fail()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.links, err
}

func (k *fakeKernel) policyRules() ([][]byte, error) {
	return [][]byte{policyMessage(0, 255, actionTable), policyMessage(32766, 254, actionTable)}, nil
}

func (k *fakeKernel) routes(f func(Route)) error {
	k.mu.Lock()
	list, block, during := k.list, k.block, k.during
	k.dumps++
	k.mu.Unlock()
	if block != nil {
		<-block
	}
	if err := k.fail(); err != nil {
		return err
	}
	for _, r := range list {
		f(r)
	}
	if during != nil {
		during()
	}
	return nil
}

func (k *fakeKernel) neighbors(family int, f func([]byte)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.known {
		if int(b[0]) == family {
			f(b)
		}
	}
	return nil
}

func (k *fakeKernel) skipsNotify() bool { return false }

// set changes the kernel.
func (k *fakeKernel) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// fakeSocket is a subscription whose events a test sends.
type fakeSocket struct {
	messages chan fakeMessage
	closed   chan struct{}
	once     sync.Once
	at       time.Time
}

type fakeMessage struct {
	kind uint16
	body []byte
	err  error
}

func (s *fakeSocket) receive(handle func(*unix.NlMsghdr, []byte)) error {
	var due <-chan time.Time
	if !s.at.IsZero() {
		t := time.NewTimer(time.Until(s.at))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-s.closed:
		return os.ErrClosed
	case <-due:
		return os.ErrDeadlineExceeded
	case m := <-s.messages:
		for {
			if m.err != nil {
				return m.err
			}
			handle(&unix.NlMsghdr{Type: m.kind}, m.body)
			select {
			case m = <-s.messages:
			default:
				return nil
			}
		}
	}
}

func (s *fakeSocket) drain() error {
	for len(s.messages) > 0 {
		<-s.messages
	}
	return nil
}

func (s *fakeSocket) wake(at time.Time) error { s.at = at; return nil }
func (s *fakeSocket) queued() uint32          { return uint32(len(s.messages)) }
func (s *fakeSocket) Close() error            { s.once.Do(func() { close(s.closed) }); return nil }

// heard is what a Handler heard of.
type heard struct {
	links     []Event
	prefixes  []netip.Prefix
	all       int
	neighbors []Neighbor
	failed    []error
}

// listener collects it.
type listener struct {
	mu sync.Mutex
	heard
}

func (h *listener) handler() Handler {
	locked := func(f func()) {
		h.mu.Lock()
		defer h.mu.Unlock()
		f()
	}
	return Handler{
		Link: func(e Event) { locked(func() { h.links = append(h.links, e) }) },
		Routes: func(p []netip.Prefix, all bool) {
			locked(func() {
				h.prefixes = append(h.prefixes, p...)
				if all {
					h.all++
				}
			})
		},
		Neighbor: func(n Neighbor) { locked(func() { h.neighbors = append(h.neighbors, n) }) },
		Failed:   func(err error) { locked(func() { h.failed = append(h.failed, err) }) },
	}
}

// take returns what was heard of since the last call, once nothing moves.
func (h *listener) take() heard {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.heard
	h.heard = heard{}
	return old
}

// start runs a Watcher on a fake kernel, and returns its sockets for routes and
// neighbors.
func start(t *testing.T, k *fakeKernel) (w *Watcher, h *listener, routes, neighbors *fakeSocket) {
	t.Helper()
	w, err := open(k)
	if err != nil {
		t.Fatal(err)
	}
	h = new(listener)
	done := make(chan error)
	go func() { done <- w.Run(t.Context(), h.handler()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return w, h, k.sockets[0], k.sockets[1]
}

// routeBody is the body of a message about a route to a device.
func routeBody(prefix string, index int32) []byte {
	p := netip.MustParsePrefix(prefix)
	b := []byte{unix.AF_INET6, byte(p.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, 0, unix.RTN_UNICAST, 0, 0, 0, 0}
	b = append(b, attr(unix.RTA_DST, p.Addr().AsSlice())...)
	b = append(b, attr(unix.RTA_PRIORITY, octets(1024))...)
	return append(b, attr(unix.RTA_OIF, octets(index))...)
}

// stationBody is the body of a message about a station behind a port of a bridge.
func stationBody(bridge, port int32, s station) []byte {
	b := append([]byte{unix.AF_BRIDGE, 0, 0, 0}, octets(port)...)
	b = append(b, 0, 0, 0, 0)
	b = append(b, attr(ndaLLAddr, s.mac[:])...)
	b = append(b, attr(ndaVLAN, binary.NativeEndian.AppendUint16(nil, s.vlan))...)
	return append(b, attr(ndaMaster, octets(bridge))...)
}

// neighborBody is the body of a message about a neighbor.
func neighborBody(index int32, a string, state uint16) []byte {
	b := append([]byte{unix.AF_INET6, 0, 0, 0}, octets(index)...)
	b = append(binary.NativeEndian.AppendUint16(b, state), 0, 0)
	return append(b, attr(ndaDst, netip.MustParseAddr(a).AsSlice())...)
}

// linkBody is the body of a message about a veth.
func linkBody(index int32, name string, master int32) []byte {
	b := append([]byte{unix.AF_UNSPEC, 0, 1, 0}, octets(index)...)
	b = append(b, make([]byte, 8)...)
	b = append(b, attr(unix.IFLA_IFNAME, []byte(name+"\x00"))...)
	b = append(b, attr(unix.IFLA_MASTER, octets(master))...)
	return append(b, attr(unix.IFLA_LINKINFO, attr(unix.IFLA_INFO_KIND, []byte("veth\x00")))...)
}
