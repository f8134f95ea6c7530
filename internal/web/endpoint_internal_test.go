// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/task"
)

var _ task.Task = new(endpoint)

// webConfig writes a file for exporter-toolkit that has a certificate, and asks
// for HTTP/2.
func webConfig(t *testing.T) string {
	t.Helper()
	c, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"tls.crt":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		"tls.key":  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
		"web.yaml": []byte("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\nhttp_server_config: {http2: true}\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "web.yaml")
}

// TestNoHTTP2 asks for HTTP/2 on endpoints with TLS, whose streams would get
// round the limit of connections.
func TestNoHTTP2(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]config.Endpoint{
		"self-signed": {Review: true}, "with a certificate": {WebConfig: webConfig(t), TLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(newDaemon(t))
			s.Configure(config.Endpoint{}, "", oneToken("secret"))
			addr := listen(t, s.metrics, c)
			conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err == nil {
				if got := conn.ConnectionState().NegotiatedProtocol; got == "h2" {
					t.Errorf("the protocol is %q", got)
				}
				_ = conn.Close()
			}
			both := from(t, insider)
			both.Transport.(*http.Transport).ForceAttemptHTTP2 = true
			if got := scrape(both, "https://"+addr+"/metrics", "secret"); got != http.StatusOK {
				t.Errorf("a client of both gets %d", got)
			}
		})
	}
}

// listenFixed listens on a port that no process gets which leaves the choice to the kernel:
// while a test has given it back, nobody else takes it.
func listenFixed(t *testing.T) net.Listener {
	t.Helper()
	const first, count = 20_000, 10_000 // below net.ipv4.ip_local_port_range
	for i := range count {
		l, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", first+(os.Getpid()+i)%count))
		if err == nil {
			return l
		}
	}
	t.Fatal("no port is free")
	return nil
}

// TestEndpoint moves an endpoint to an address that is taken, and to one that
// is free.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	s := newServer(newDaemon(t))
	taken := listenFixed(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for _, task := range s.Tasks() {
		go func() { done <- task.Run(ctx) }()
		if task.Ready() != nil {
			t.Errorf("%s is waited for", task)
		}
	}
	addr := taken.Addr().String()
	s.Configure(config.Endpoint{}, addr, nil)
	s.Configure(config.Endpoint{}, addr, nil) // a reload without a change
	await := func(page string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for end := time.Now().Add(patience); code(client, page) != http.StatusOK; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s is not served", page)
			}
		}
	}
	time.Sleep(10 * time.Millisecond) // so that it most likely has tried
	_ = taken.Close()
	await("http://" + addr + "/healthz")
	s.Configure(config.Endpoint{Listen: addr}, "", nil) // from one endpoint to the other
	await("http://" + addr + "/metrics")
	await("http://" + addr + "/readyz")
	cancel()
	for range s.Tasks() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
