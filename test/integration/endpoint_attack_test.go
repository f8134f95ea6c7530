// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// callControl connects to the control socket as a user, as often as it can, and
// returns the connections that are open.
func callControl(t *testing.T, n *harness.Network, uid uintptr, count int) []int {
	t.Helper()
	var open []int
	harness.Must(t, n.Node.Do(func() error {
		if err := become(uid); err != nil {
			return err
		}
		for range count {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return errors.Join(err, become(0))
			}
			for end := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
				err = unix.Connect(fd, &unix.SockaddrUnix{Name: control.DefaultAddress})
				if !errors.Is(err, unix.EAGAIN) || time.Now().After(end) { // the backlog is full
					break
				}
			}
			if err != nil {
				_ = unix.Close(fd)
				break
			}
			open = append(open, fd)
		}
		return become(0)
	}))
	t.Cleanup(func() {
		for _, fd := range open {
			_ = unix.Close(fd)
		}
	})
	return open
}

// TestStrangersConnections has a user without privilege open as many connections to
// the control socket as it can, idle ones, or with headers that do not end.
func TestStrangersConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		connections int
		headers     int // octets
	}{"idle": {2000, 0}, "with large headers": {150, 900 << 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", podRule)
			d.WaitReady()
			answers(t, n)
			router := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
			memory, descriptors := d.Resident(), d.Descriptors()
			open := callControl(t, n, 1000, c.connections)
			if c.headers > 0 {
				left := make([]int, len(open))
				chunk := make([]byte, 64<<10)
				for i := range chunk {
					chunk[i] = 'a'
				}
				for i, fd := range open {
					left[i] = c.headers
					_, _ = unix.Write(fd, []byte("GET /status HTTP/1.1\r\nHost: a\r\nX: "))
				}
				for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
					busy := false
					for i, fd := range open {
						if left[i] > 0 {
							busy = true
							if k, err := unix.Write(fd, chunk[:min(left[i], len(chunk))]); err == nil {
								left[i] -= k
							} else if !errors.Is(err, unix.EAGAIN) {
								left[i] = 0
							}
						}
					}
					if !busy {
						break
					}
				}
			}
			time.Sleep(200 * time.Millisecond)
			most, files := d.Resident(), d.Descriptors()
			t.Logf("%d connections are open: %d KiB became %d, %d descriptors became %d", len(open), memory, most, descriptors, files)
			if most > memory+16<<10 {
				t.Errorf("%d KiB became %d", memory, most)
			}
			if files > descriptors+64 {
				t.Errorf("%d descriptors became %d", descriptors, files)
			}
			for range 3 {
				if got := d.Status(); !got.Ready {
					t.Error("root is told that the daemon is not ready")
				}
			}
			router.Stop("a stranger's connections to the control socket")
		})
	}
}

// probeHealth asks for a page as a supervisor does, on a connection of its own.
func probeHealth(d *harness.Daemon, url string) error {
	return harness.Undisturbed(func() error { return probeOnce(d, url) })
}

func probeOnce(d *harness.Daemon, url string) error {
	client := http.Client{Timeout: 6 * time.Second, Transport: &http.Transport{DialContext: d.Dial, DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// TestHeldConnections holds connections to the metrics, of which each has asked once or
// has half a request. Health is told to the supervisor all the same, and the metrics to
// Prometheus.
func TestHeldConnections(t *testing.T) {
	t.Parallel()
	const held = 300
	for name, request := range map[string]string{
		"kept alive": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"half open":  "GET / HTTP/1.1\r\nHost: a\r\n",
		"silent":     "",
	} {
		for _, at := range []string{"metrics", "health"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				t.Parallel()
				n := harness.NewNetwork(t)
				config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\nmetrics: {listen: '[::1]:9001'}\nhealth: {listen: '[::1]:9002'}\n")
				d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--config", config)
				d.WaitReady()
				address := map[string]string{"metrics": "[::1]:9001", "health": "[::1]:9002"}[at]
				harness.Eventually(t, "endpoints", func() bool {
					return probeHealth(d, "http://[::1]:9001/healthz") == nil && probeHealth(d, "http://[::1]:9002/healthz") == nil
				})
				router := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
				memory := d.Resident()
				var conns []net.Conn
				defer func() {
					for _, c := range conns {
						_ = c.Close()
					}
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				for range held {
					c, err := d.Dial(ctx, "tcp", address)
					if err != nil {
						break
					}
					conns = append(conns, c)
					_, _ = io.WriteString(c, request)
				}
				for i := range 2 {
					for _, url := range []string{"http://[::1]:9001/healthz", "http://[::1]:9002/healthz"} {
						if err := probeHealth(d, url); err != nil {
							t.Errorf("probe %d: %v", i, err)
						}
					}
				}
				if err := probeHealth(d, "http://[::1]:9001/metrics"); err != nil {
					t.Errorf("scrape: %v", err)
				}
				t.Logf("%d connections are held: %d KiB became %d", len(conns), memory, d.Resident())
				if most := d.Resident(); most > memory+32<<10 {
					t.Errorf("%d KiB became %d", memory, most)
				}
				router.Stop("held connections")
			})
		}
	}
}

// askStreams asks for the metrics on many streams of one HTTP/2 connection and takes no
// answer: the window of each stream is closed (RFC 9113 §6.9.2), so that the server has
// to keep what it says. It returns how many requests were sent.
func askStreams(t *testing.T, d *harness.Daemon, roots *x509.CertPool, streams int) (sent int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	raw, err := d.Dial(ctx, "tcp", "[::1]:9001")
	if err != nil {
		return 0
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "::1", NextProtos: []string{"h2"}})
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.HandshakeContext(ctx); err != nil { // one of too many
		return 0
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Fatalf("the server speaks %q: this test shows nothing", got)
	}
	_, _ = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	_ = framer.WriteSettingsAck()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := range streams {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "[::1]:9001"}, {":path", "/metrics"}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		err := framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
		})
		if err != nil {
			return sent
		}
		sent++
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	return sent
}

// TestHTTP2Flood asks for the metrics on many streams of many connections.
func TestHTTP2Flood(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	web, roots := webConfig(t, "secret")
	content, err := os.ReadFile(web)
	harness.Must(t, err)
	open := filepath.Join(filepath.Dir(web), "open.yaml")
	certificate, _, _ := strings.Cut(string(content), "\n") // the users are left out
	harness.Rewrite(t, open, certificate+"\n")
	config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n"+
		"metrics: {listen: '[::1]:9001', web_config: "+open+"}\nhealth: {listen: '[::1]:9002'}\n")
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--config", config)
	d.WaitReady()
	harness.Eventually(t, "health", func() bool { return probeHealth(d, "http://[::1]:9002/healthz") == nil })
	router := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
	memory, threads := d.Resident(), d.Threads()
	const connections, streams = 10, 100
	requests := 0
	for range connections {
		requests += askStreams(t, d, roots, streams)
	}
	most, running := memory, threads
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		most, running = max(most, d.Resident()), max(running, d.Threads())
		if err := probeHealth(d, "http://[::1]:9002/healthz"); err != nil {
			t.Errorf("health: %v", err)
		}
	}
	t.Logf("%d requests: %d KiB became %d, %d threads became %d", requests, memory, most, threads, running)
	if most > memory+64<<10 {
		t.Errorf("%d KiB became %d", memory, most)
	}
	if running > threads+32 {
		t.Errorf("%d threads became %d", threads, running)
	}
	router.Stop("a flood of HTTP/2 requests")
}
