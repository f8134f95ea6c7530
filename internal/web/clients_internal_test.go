// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// keepAlive makes a request on a connection, and keeps it open.
func keepAlive(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
		return // it was displaced
	}
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

// TestProbesBesideStrangers has one client hold as many connections as it can, in
// several ways: probes of this host and another client are answered meanwhile,
// and few descriptors are in use.
func TestProbesBesideStrangers(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(*testing.T, net.Conn){
		"kept alive": keepAlive,
		"silent":     func(*testing.T, net.Conn) {},
		"half a request": func(_ *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: no")
		},
		"a megabyte of headers": func(_ *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nX: "+strings.Repeat("x", 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(newDaemon(t))
			addr := listen(t, s.health, config.Endpoint{})
			for i := range 200 {
				hold(t, dial(t, "127.0.0.2", addr))
				if i%50 > 0 {
					continue
				}
				for _, who := range []string{insider, "127.0.0.3"} {
					if got := code(from(t, who), "http://"+addr+"/healthz"); got != http.StatusOK {
						t.Errorf("beside %d connections, %s gets %d", i+1, who, got)
					}
				}
			}
			if n := s.health.clients.openOf(strangers); n > 2*maxOfClient {
				t.Errorf("%d connections of strangers are open", n)
			}
		})
	}
}

// TestManyStrangers has more clients than there is room for each hold a
// connection: a newcomer displaces the oldest, and none of this host's.
func TestManyStrangers(t *testing.T) {
	t.Parallel()
	s := newServer(newDaemon(t))
	addr := listen(t, s.health, config.Endpoint{})
	kubelet := dial(t, insider, addr)
	keepAlive(t, kubelet)
	for i := range 100 {
		keepAlive(t, dial(t, fmt.Sprintf("127.0.1.%d", i+1), addr))
	}
	if n := s.health.clients.openOf(strangers); n > maxConnections {
		t.Errorf("%d connections of strangers are open", n)
	}
	if got := code(from(t, "127.0.0.3"), "http://"+addr+"/healthz"); got != http.StatusOK {
		t.Errorf("a newcomer gets %d", got)
	}
	_ = kubelet.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(kubelet, "GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(kubelet), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("a connection of root was closed: %v, %v", resp, err)
	}
}

// oneToken lets a single token through.
type oneToken string

func (o oneToken) Allowed(_ context.Context, token, _ string) (bool, error) {
	if token == "trouble" {
		return false, errors.New("no server")
	}
	return token == string(o), nil
}

func scrape(c *http.Client, url, token string) int {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// TestAcquaintance has strangers fill a public endpoint beside a scraper that has
// authenticated: neither its connection nor a new one of its is affected.
func TestAcquaintance(t *testing.T) {
	t.Parallel()
	s := newServer(newDaemon(t))
	s.Configure(config.Endpoint{}, "", oneToken("secret"))
	addr := listen(t, s.metrics, config.Endpoint{Review: true})
	url := "https://" + addr + "/metrics"
	scraper := from(t, "127.0.0.5")
	if got := scrape(scraper, url, "secret"); got != http.StatusOK {
		t.Fatalf("the scraper gets %d", got)
	}
	for i := range 100 {
		dial(t, fmt.Sprintf("127.0.1.%d", i%50+1), addr)
	}
	if n := s.metrics.clients.openOf(acquaintances); n != 1 {
		t.Errorf("%d connections of the scraper are open", n)
	}
	for _, c := range []*http.Client{scraper, from(t, "127.0.0.5")} {
		if got := scrape(c, url, "secret"); got != http.StatusOK {
			t.Errorf("beside strangers the scraper gets %d", got)
		}
	}
	if n := s.metrics.clients.openOf(strangers); n > maxConnections {
		t.Errorf("%d connections of strangers are open", n)
	}
}

// TestReview asks with several tokens.
func TestReview(t *testing.T) {
	t.Parallel()
	s := newServer(newDaemon(t))
	s.Configure(config.Endpoint{}, "", oneToken("secret"))
	addr := listen(t, s.metrics, config.Endpoint{Review: true})
	for token, want := range map[string]int{
		"secret": http.StatusOK, "": http.StatusUnauthorized, "wrong": http.StatusForbidden, "trouble": http.StatusServiceUnavailable,
		strings.Repeat("x", 20000): http.StatusForbidden,
	} {
		if got := scrape(from(t, "127.0.0.2"), "https://"+addr+"/metrics", token); got != want {
			t.Errorf("with the token %.10q it is %d, want %d", token, got, want)
		}
	}
	s.Configure(config.Endpoint{}, "", nil)
	if got := scrape(from(t, "127.0.0.2"), "https://"+addr+"/metrics", "secret"); got != http.StatusServiceUnavailable {
		t.Errorf("without a reviewer it is %d", got)
	}
}

// TestAcquaintancesBounded forgets the oldest.
func TestAcquaintancesBounded(t *testing.T) {
	t.Parallel()
	cs := newClients(localUser)
	for i := range 2 * maxAcquaintances {
		cs.remember(&connection{clients: cs, client: client{local: true, user: uint32(1000 + i)}})
	}
	if len(cs.known) != maxAcquaintances || cs.groupOf(client{local: true, user: 1000}) != strangers ||
		cs.groupOf(client{local: true, user: 1000 + 2*maxAcquaintances - 1}) != acquaintances {
		t.Errorf("%d are known", len(cs.known))
	}
}

// TestAllServed refuses a newcomer where the group serves requests on all of its
// connections.
func TestAllServed(t *testing.T) {
	t.Parallel()
	cs := newClients(localUser)
	for i := range maxConnections {
		c := &connection{clients: cs, client: client{local: true, user: uint32(1000 + i/maxOfClient)}}
		if cs.admit(c) != nil {
			t.Fatalf("connection %d displaces one", i)
		}
		c.setServing(true)
	}
	for name, user := range map[string]uint32{"at its limit": 1000, "new": 2000} {
		c := &connection{clients: cs, client: client{local: true, user: user}}
		if cs.admit(c) != c {
			t.Errorf("a client that is %s displaces a request", name)
		}
	}
	if c := (&connection{clients: cs, client: client{local: true}}); cs.admit(c) != nil {
		t.Error("root has no room beside strangers")
	}
}

// TestIdleClosed has connections do nothing, which are closed.
func TestIdleClosed(t *testing.T) {
	t.Parallel()
	s := newServer(newDaemon(t))
	s.health.timeouts = timeouts{header: headerTimeout, idle: idleTimeout, exchange: exchangeTimeout}
	addr := listen(t, s.health, config.Endpoint{})
	silent, idle := dial(t, insider, addr), dial(t, insider, addr)
	keepAlive(t, idle)
	for name, conn := range map[string]net.Conn{"silent": silent, "idle": idle} {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a %s connection stays open", name)
		}
	}
	for end := time.Now().Add(patience); s.health.clients.openOf(insiders) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("closed connections go on to count")
		}
	}
}

// TestRequestsBounded has clients make many requests for a page that takes long:
// few are answered at a time, and the others are refused at once.
func TestRequestsBounded(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	release := make(chan struct{})
	h := bounded(maxScrapes, time.Minute, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
	}))
	request := func(user uint32) int {
		c := &connection{clients: newClients(localUser), client: client{local: true, user: user}}
		if user == 0 {
			c.group = insiders
		}
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), connectionKey{}, c)))
		return w.Code
	}
	var wg sync.WaitGroup
	var refused atomic.Int32
	for range 6000 { // as of 60 connections with 100 streams each
		wg.Go(func() {
			if request(1000) == http.StatusServiceUnavailable {
				refused.Add(1)
			}
		})
	}
	await := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %s", what)
			}
		}
	}
	await("refusals", func() bool { return refused.Load() == 6000-int32(maxScrapes.ofClient) })
	if got := most.Load(); got != int32(maxScrapes.ofClient) {
		t.Errorf("%d requests of a client are answered at a time", got)
	}
	before := running.Load()
	wg.Go(func() { request(1001) })
	wg.Go(func() { request(0) })
	await("request of others beside it", func() bool { return running.Load() == before+2 })
	close(release)
	wg.Wait()
	if got := request(1000); got != http.StatusOK {
		t.Errorf("afterwards it is %d", got)
	}
}

// exhausted is a listener without free descriptors for the first few calls.
type exhausted struct {
	net.Listener
	left int
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.left > 0 {
		e.left--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return e.Listener.Accept()
}

// TestNoDescriptors serves again once there are descriptors.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	s := newServer(newDaemon(t))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s.health, &exhausted{Listener: l, left: 5}, config.Endpoint{})
	if got := code(from(t, insider), "http://"+l.Addr().String()+"/healthz"); got != http.StatusOK {
		t.Errorf("it is %d", got)
	}
}
