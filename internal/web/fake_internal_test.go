// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// fakeDaemon answers at once, or never while stuck is not nil.
type fakeDaemon struct {
	stuck    chan struct{}
	asked    atomic.Uint32
	waits    []string
	uplinks  []*uplink.Facts
	table    *rules.Table
	cluster  *status.Cluster
	findings map[string][]string
	dead     error
	idle     bool
	replaced bool
}

func (d *fakeDaemon) wait() {
	d.asked.Add(1)
	if d.stuck != nil {
		<-d.stuck
	}
}

func (d *fakeDaemon) Status(context.Context) status.Status {
	d.wait()
	return status.Status{Config: "<file>", Uplinks: []status.Uplink{{Interface: "eth0", State: "ready"}}}
}
func (d *fakeDaemon) Alive(context.Context) error   { d.wait(); return d.dead }
func (d *fakeDaemon) Waits() []string               { return d.waits }
func (d *fakeDaemon) Replaced(context.Context) bool { return d.replaced }
func (d *fakeDaemon) Idle() bool                    { return d.idle }
func (d *fakeDaemon) Uplinks() []*uplink.Facts      { return d.uplinks }
func (d *fakeDaemon) Table() *rules.Table           { return d.table }
func (d *fakeDaemon) Updates() uint64               { return 3 }
func (d *fakeDaemon) Cluster() *status.Cluster      { return d.cluster }
func (d *fakeDaemon) Files() []status.TargetFile {
	return []status.TargetFile{{Path: "/etc/ndproxyd/targets", Targets: 3, Faults: 1, Readable: true}}
}

func (d *fakeDaemon) Findings() map[string][]string {
	d.wait()
	return d.findings
}

// newDaemon returns a daemon with an uplink that answers by one rule.
func newDaemon(t *testing.T) *fakeDaemon {
	t.Helper()
	table, err := rules.Compile([]rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1:0:f::/80"), Method: rules.Static}})
	if err != nil {
		t.Fatal(err)
	}
	return &fakeDaemon{
		table: table,
		uplinks: []*uplink.Facts{{
			Config: rules.Uplink{Interface: "eth0"}, State: uplink.Ready, Counters: new(ndp.Counters),
			Membership: ndp.MembershipStatus{Groups: 2},
		}},
		findings: map[string][]string{"eth0": {"accept_ra"}},
	}
}

// newServer returns a server that gives its clients a minute for everything.
func newServer(d Daemon) *Server {
	s := New(Options{
		Daemon: d, Figures: NewFigures(), Reasons: []string{"accept_ra", "forwarding_off"},
		Version: status.Version{Version: "v1", Revision: "abc", Go: "go1"}, Log: slog.New(slog.DiscardHandler),
	})
	for _, e := range []*endpoint{s.metrics, s.health} {
		e.timeouts = timeouts{header: patience, idle: patience, exchange: patience}
	}
	return s
}

// insider is the address of clients that count as root's, in the tests that
// serve on 127.0.0.1. Its neighbors are strangers, each a client of its own.
const insider = "127.0.0.1"

// patience is how long a test waits for what comes at once on a machine that has
// nothing else to do. A loaded one stalls for seconds.
const patience = time.Minute

// listen serves an endpoint until the test ends, and returns its address.
func listen(t *testing.T, e *endpoint, c config.Endpoint) string {
	t.Helper()
	e.clients.userOf = func(_, remote net.Addr) (uint32, bool) {
		return 0, remote.(*net.TCPAddr).IP.String() == insider
	}
	l, err := net.Listen("tcp", insider+":0")
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, e, l, c)
	return l.Addr().String()
}

func serveUntilEnd(t *testing.T, e *endpoint, l net.Listener, c config.Endpoint) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.serveOn(ctx, l, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// from returns a client with an address, which keeps its connections.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: d.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// dial opens a connection from an address.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// code fetches a page and returns its status code, 0 for none.
func code(c *http.Client, url string) int {
	resp, err := c.Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// openOf counts the open connections of a group.
func (cs *clients) openOf(g group) (n int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		if c.group == g {
			n++
		}
	}
	return n
}
