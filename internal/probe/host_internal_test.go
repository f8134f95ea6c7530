// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/task"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

var _ task.Task = (*Prober)(nil)

// Of the host that the tests play.
const (
	pod1 = 11
	pod2 = 12
	tun0 = 13
)

// target returns the i-th address of the tests' rule.
func target(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 16), 13: byte(i >> 8), 14: byte(i), 15: 1})
}

// host is a fake of all that a Prober works with. What blocks, waits for gate.
type host struct {
	p         *Prober
	store     *rules.Store
	log       bytes.Buffer
	names     map[string]int32
	gate      chan struct{} // nil for no waiting
	blocks    string        // what waits for it
	openErr   error
	opens     []time.Time
	socket    *fakeSocket // the last one
	asked     []ndp.Solicit
	reads     int
	living    map[netip.Addr]bool // targets that answer, on pod1
	neighbors []hostwatch.Neighbor
	nErr      error
	existing  []hostwatch.HostRoute
	wired     map[netip.Addr]int
	tables    map[netip.Addr]uint32 // of what was ever wired
	vrf       map[int32]uint32
	addErr    error
	primed    []netip.Addr
	settled   []string // "target answered" or "target unanswered"
	refused   int
	turn      atomic.Int64 // orders what the test and the task do, for the race detector
}

// wait is what every fake begins with.
func (h *host) wait(what string) {
	h.turn.Add(1)
	if h.gate != nil && h.blocks == what {
		<-h.gate
	}
}

func (h *host) Index(name string) int32 { return h.names[name] }

func (h *host) Name(index int32) string {
	for name, i := range h.names {
		if i == index {
			return name
		}
	}
	return ""
}

func (h *host) Has(index int32) bool { return h.Name(index) != "" }

func (h *host) readLink(index int) (rules.Link, error) {
	h.wait("ReadLink")
	h.reads++
	if !h.Has(int32(index)) {
		return rules.Link{}, hostwatch.ErrNoLink
	}
	return rules.Link{
		Name: h.Name(int32(index)), Index: index, Ethernet: index != tun0, Up: true, IPv6: true, MAC: [6]byte{2, 0, 0, 0, 0, byte(index)},
		Addresses: []rules.LinkAddress{{Prefix: netip.MustParsePrefix("fe80::1/64"), Usable: true}},
	}, nil
}

func (h *host) open() (Socket, error) {
	h.wait("Open")
	h.opens = append(h.opens, time.Now())
	if h.openErr != nil {
		return nil, h.openErr
	}
	h.socket = &fakeSocket{host: h, end: make(chan error, 1)}
	return h.socket, nil
}

func (h *host) readNeighbors() ([]hostwatch.Neighbor, error) {
	h.wait("Neighbors")
	return h.neighbors, h.nErr
}

func (h *host) Existing() []hostwatch.HostRoute { return h.existing }

func (h *host) VRF(index int32) uint32 { return h.vrf[index] }

func (h *host) Add(r hostwatch.HostRoute) error {
	h.wait("Add")
	if h.addErr != nil {
		return h.addErr
	}
	h.wired[r.Address], h.tables[r.Address] = r.Device, r.Table
	return nil
}

func (h *host) Remove(r hostwatch.HostRoute) error {
	h.wait("Remove")
	delete(h.wired, r.Address)
	return nil
}

type fakeSocket struct {
	host   *host
	end    chan error
	heard  func(netip.Addr, int, bool)
	closed bool
}

func (s *fakeSocket) Send(d *ndp.Interface, target netip.Addr) error {
	s.host.wait("Send")
	if s.closed {
		return errors.New("closed")
	}
	frame, err := d.Solicitation(target)
	if err != nil {
		return err
	}
	if s.host.living[target] {
		time.AfterFunc(time.Millisecond, func() { s.heard(target, pod1, false) })
	}
	s.host.asked = append(s.host.asked, ndp.Solicit{Target: target, Device: int32(frame[11])}) // the source's last octet
	return nil
}

func (s *fakeSocket) Run(f func(netip.Addr, int, bool)) error {
	s.heard = f
	return <-s.end
}

func (s *fakeSocket) Close() error {
	s.host.wait("Close")
	s.closed = true
	select {
	case s.end <- nil:
	default: // it ended before
	}
	return nil
}

// play runs a Prober in a bubble on a host with pod1, pod2 and tun0.
func play(t *testing.T, rs []rules.Rule, before func(*host), test func(*host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &host{store: new(rules.Store), names: map[string]int32{"pod1": pod1, "pod2": pod2, "tun0": tun0}, wired: make(map[netip.Addr]int), tables: make(map[netip.Addr]uint32)}
		h.store.ResolveDevices(h.Index)
		if err := h.store.SetRules(rs); err != nil {
			t.Fatal(err)
		}
		h.p = New(Config{
			Store: h.store, Devices: h, ReadLink: h.readLink, Open: h.open, Wires: h, Neighbors: h.readNeighbors,
			Log: slog.New(slog.NewTextHandler(&h.log, nil)),
		})
		h.p.prime = func(a netip.Addr, _ int32) { h.primed = append(h.primed, a) }
		h.p.refuseQuery = func(*ndp.Query) { h.refused++ }
		h.p.settleQuery = func(q *ndp.Query) {
			verdict := "unanswered"
			if v := h.store.Load().View("eth0").Find(q.Target); v != nil && v.Answer {
				verdict = "answered"
			}
			h.settled = append(h.settled, fmt.Sprintf("%s %s", q.Target, verdict))
		}
		if before != nil {
			before(h)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.p.Run(ctx) }()
		synctest.Wait()
		test(h)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if len(h.wired) > 0 {
			t.Errorf("host routes stay: %v", h.wired)
		}
		if h.socket != nil && !h.socket.closed {
			t.Error("the socket stays open")
		}
	})
}

// ask is a solicitation for a target.
func (h *host) ask(a netip.Addr) {
	h.p.Ask(ndp.Query{Target: a, Verdict: rules.Verdict{Probe: true, Device: pod1}})
	synctest.Wait()
}

// hear is an answer on the probe socket.
func (h *host) hear(a netip.Addr, device int) {
	h.socket.heard(a, device, false)
	synctest.Wait()
}

// onDevices is a probe rule for all targets.
func onDevices(names ...string) []rules.Rule {
	return []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.Probe, Devices: names}}
}

// pass lets time pass, and waits for what that brings about.
func (h *host) pass(d time.Duration) {
	h.turn.Add(1)
	time.Sleep(d)
	synctest.Wait()
}
