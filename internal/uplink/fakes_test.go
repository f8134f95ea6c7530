// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// host is a fake of the host: its links are what the test says, and its sockets
// record what they are asked to do. It stands for what takes root, and for what
// no kernel does on demand: to block.
type host struct {
	mu       sync.Mutex
	links    map[string]rules.Link
	readErr  error
	reads    int // attempts that failed
	stations map[[6]byte]bool
	hops     map[int][]netip.Addr       // by device
	refuse   error                      // of Listen
	sockets  []*responder               // all that were opened, the last one last
	stuck    map[string]<-chan struct{} // links whose reading blocks until closed
	busy     bool                       // sockets have no room
	joinErr  error
	cluster  uplink.Cluster // nil for none
	diary    []string       // what was opened, joined, left and closed, in order
}

func newHost(links ...rules.Link) *host {
	h := &host{links: make(map[string]rules.Link), stuck: make(map[string]<-chan struct{})}
	for _, l := range links {
		h.links[l.Name] = l
	}
	return h
}

func (h *host) change(f func(*host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

func (h *host) ReadLink(name string, index int) (rules.Link, error) {
	h.mu.Lock()
	stuck := h.stuck[name]
	h.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr != nil {
		if h.reads++; h.reads > 1000 {
			panic("the link is read again and again")
		}
		return rules.Link{}, h.readErr
	}
	if l, ok := h.links[name]; ok {
		return l, nil
	}
	for _, l := range h.links {
		if l.Index == index && index != 0 {
			return l, nil
		}
	}
	return rules.Link{}, fmt.Errorf("read link %s: %w", name, hostwatch.ErrNoLink)
}

func (h *host) Stations(int) map[[6]byte]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stations
}

func (h *host) Hops(index int) hostwatch.Hops {
	h.mu.Lock()
	defer h.mu.Unlock()
	return hostwatch.Hops{All: h.hops[index], Default: h.hops[index]}
}

func (h *host) Listen(c ndp.ListenConfig) (ndp.Responder, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return nil, h.refuse
	}
	r := &responder{host: h, config: c, index: c.Interface.Facts().Index, iface: c.Interface, view: c.View, done: make(chan struct{})}
	h.sockets, h.diary = append(h.sockets, r), append(h.diary, "open")
	return r, nil
}

func (h *host) Join(m rules.MembershipMode, _ ndp.Responder) uplink.Membership {
	return membership{h, m}
}

// open returns the socket that is open, nil for none.
func (h *host) open() *responder {
	h.mu.Lock()
	defer h.mu.Unlock()
	var open *responder
	for _, r := range h.sockets {
		if !r.closed {
			if open != nil {
				panic("two sockets are open: each solicitation is answered twice")
			}
			open = r
		}
	}
	return open
}

// responder is a fake socket.
type responder struct {
	host   *host
	config ndp.ListenConfig
	index  int
	iface  *ndp.Interface
	view   *rules.View
	sent   [][]byte
	closed bool
	done   chan struct{}
	failed bool
	path   ndp.Path
}

func (r *responder) SetInterface(i *ndp.Interface) { r.host.change(func(*host) { r.iface = i }) }

func (r *responder) SetView(v *rules.View, _ []rules.Delta) error {
	r.host.change(func(*host) { r.view = v })
	return nil
}

func (r *responder) Send(frame []byte) error {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	if r.host.busy {
		return fmt.Errorf("send frame: %w", ndp.ErrBusy)
	}
	r.sent = append(r.sent, frame)
	return nil
}

func (r *responder) SetAllMulticast(bool) error { return nil }
func (r *responder) CountDrops() error {
	r.config.Counters.Drops.Add(1)
	return nil
}

func (r *responder) Alive(context.Context) error { return nil }
func (r *responder) Index() int                  { return r.index }
func (r *responder) Done() <-chan struct{}       { return r.done }

func (r *responder) Path() ndp.Path {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	return r.path
}

func (r *responder) Settle() {}

func (r *responder) Relieve() {
	r.host.change(func(h *host) { r.path.Leaving, h.diary = false, append(h.diary, "relieve") })
}

func (r *responder) Hold() error { return r.Close() }

func (r *responder) Close() error {
	r.host.change(func(h *host) { r.closed, h.diary = true, append(h.diary, "close") })
	if r.failed {
		return errors.New("the socket had failed")
	}
	return nil
}

// fail ends the socket by itself.
func (r *responder) fail() {
	r.host.change(func(*host) { r.failed = true })
	close(r.done)
}

// frames returns how many were sent.
func (r *responder) frames() int {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	return len(r.sent)
}

func (r *responder) mac() [6]byte {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	return r.iface.Facts().MAC
}

// membership is a fake that joins nothing.
type membership struct {
	host *host
	mode rules.MembershipMode
}

func (m membership) Apply(_ *rules.View, deltas []rules.Delta) error {
	m.host.mu.Lock()
	defer m.host.mu.Unlock()
	if len(deltas) > 0 {
		m.host.diary = append(m.host.diary, "join "+m.mode.String())
	}
	return m.host.joinErr
}
func (m membership) Status() ndp.MembershipStatus { return ndp.MembershipStatus{} }
func (m membership) Close() error {
	m.host.change(func(h *host) { h.diary = append(h.diary, "leave "+m.mode.String()) })
	return nil
}

// noCluster is a node without Kubernetes.
type noCluster struct{}

func (noCluster) Heard(string, ndp.Sighting) bool { return false }
func (noCluster) Rival(string, ndp.Sighting) bool { return false }
func (noCluster) Conflict(netip.Addr, [6]byte)    {}
func (noCluster) Owns(netip.Addr) bool            { return false }
func (noCluster) Asks(string, netip.Addr) bool    { return false }
func (noCluster) Announced(string, netip.Addr)    {}
func (noCluster) Shares(netip.Addr) bool          { return false }

// rig is a set of uplinks that runs on a fake host.
type rig struct {
	t     *testing.T
	host  *host
	store *rules.Store
	set   *uplink.Set
	log   *strings.Builder
	stop  func()
	// changed counts the calls of Changed.
	changed atomic.Int64
}

// run runs uplinks of these names in the test's bubble of time.
func run(t *testing.T, h *host, rs []rules.Rule, names ...string) *rig {
	t.Helper()
	r := &rig{t: t, host: h, store: new(rules.Store), log: new(strings.Builder)}
	var cluster uplink.Cluster = noCluster{}
	if h.cluster != nil {
		cluster = h.cluster
	}
	r.set = uplink.NewSet(uplink.Options{
		Store: r.store, System: h, Changed: func() { r.changed.Add(1) }, Ask: func(ndp.Query) bool { return false }, Cluster: cluster,
		Log: slog.New(slog.NewTextHandler(locked{r.log, new(sync.Mutex)}, nil)),
	})
	if err := r.store.SetRules(rs); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.set.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	r.configure(names...)
	return r
}

func (r *rig) configure(names ...string) {
	configs := make([]rules.Uplink, len(names))
	for i, name := range names {
		configs[i].Interface = name
	}
	r.set.Configure(configs)
	synctest.Wait()
}

// event tells all uplinks to look, and waits until they have.
func (r *rig) event() {
	r.set.LinkChanged(hostwatch.Event{})
	synctest.Wait()
}

func (r *rig) facts(name string) *uplink.Facts {
	r.t.Helper()
	for _, f := range r.set.Facts() {
		if f.Config.Interface == name {
			return f
		}
	}
	r.t.Fatalf("there is no uplink %s", name)
	return nil
}

// locked is a writer for several goroutines.
type locked struct {
	w  io.Writer
	mu *sync.Mutex
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
