// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// webConfig writes a certificate, its key and a file for exporter-toolkit.
func webConfig(t *testing.T, password string) (path string, roots *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	harness.Must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv6loopback}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	harness.Must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	harness.Must(t, err)
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	harness.Must(t, err)
	for name, content := range map[string][]byte{
		"tls.crt":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"web.yaml": fmt.Appendf(nil, "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\nbasic_auth_users: {prometheus: %q}\n", hash),
	} {
		harness.Must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	certificate, err := x509.ParseCertificate(der)
	harness.Must(t, err)
	roots = x509.NewCertPool()
	roots.AddCert(certificate)
	return filepath.Join(dir, "web.yaml"), roots
}

// TestWebConfig serves metrics with a certificate and a password, and moves them
// by reloads. Health stays where it is.
func TestWebConfig(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	web, roots := webConfig(t, "secret")
	config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n"+
		"metrics: {listen: '[::1]:9001', web_config: "+web+"}\nhealth: {listen: '[::1]:9002'}\n")
	d := harness.Run(t, n.Node, "--config", config)
	get := func(url, password string) int {
		code := 0
		harness.Eventually(t, url, func() bool {
			client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
				DialContext: d.Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
			}}
			req, _ := http.NewRequest(http.MethodGet, url, nil)
			if password != "" {
				req.SetBasicAuth("prometheus", password)
			}
			resp, err := client.Do(req)
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			code = resp.StatusCode
			return true
		})
		return code
	}
	for _, c := range []struct {
		url, password string
		want          int
	}{
		{"https://[::1]:9001/metrics", "secret", 200},
		{"https://[::1]:9001/metrics", "wrong", 401},
		{"https://[::1]:9001/metrics", "", 401},
		{"https://[::1]:9001/", "", 401},
		{"http://[::1]:9001/metrics", "", 400},
		{"http://[::1]:9002/healthz", "", 200},
		{"http://[::1]:9002/readyz", "", 200},
		{"http://[::1]:9002/metrics", "", 404},
	} {
		if got := get(c.url, c.password); got != c.want {
			t.Errorf("%s with %q is %d, want %d", c.url, c.password, got, c.want)
		}
	}
	harness.ReplaceIn(t, config, ", web_config: "+web, "")
	harness.ReplaceIn(t, config, "9002", "9003")
	d.Reload()
	for _, url := range []string{"http://[::1]:9001/metrics", "http://[::1]:9003/healthz"} {
		harness.Eventually(t, url+" after a reload", func() bool { return get(url, "") == 200 }) // it closes what was open
	}
	harness.ReplaceIn(t, config, "'[::1]:9001'", "':9001'")
	d.Reload()
	logs := func(words string) { // at its end, a reload tells of the configuration, and of what is odd about it after that
		t.Helper()
		harness.Eventually(t, "line of the log: "+words, func() bool { return strings.Contains(d.Log(), words) })
	}
	logs("is open to everybody who can reach it")
	harness.Must(t, os.WriteFile(web, []byte("nonsense: 1\n"), 0o600))
	harness.ReplaceIn(t, config, "{listen: ':9001'", "{listen: ':9001', web_config: "+web)
	d.Reload()
	logs("field nonsense not found")
	// With tokens there must be a certificate, and no room is left for passwords.
	harness.ReplaceIn(t, config, "web_config: "+web, "authentication: kubernetes, web_config: "+web)
	for content, words := range map[string]string{
		"http_server_config: {http2: true}\n":                                                   "tokens would pass in the clear",
		"basic_auth_users: {a: $2a$10$1PjcQmmBNbUXXxvk6FvA8.gTjLKsZ4GO.yDOzYIfeTd2zyhFyzj2i}\n": "a request has room for one of both",
	} {
		harness.Must(t, os.WriteFile(web, []byte(content), 0o600))
		d.Reload()
		logs(words)
	}
}
