// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// Endpoint is where pages are served, and to whom.
type Endpoint struct {
	// Listen is an address with a port, "" for none.
	Listen string
	// WebConfig is a file with certificate and users in the format of Prometheus'
	// exporter-toolkit, "" for none.
	WebConfig string
	// Review asks the API server about the bearer token of each request. Without
	// WebConfig a certificate is made up.
	Review bool
	// TLS is true where WebConfig has a certificate, Guarded where it has users,
	// or asks for the certificates of clients.
	TLS, Guarded bool
}

// webFile is what counts here of the format of exporter-toolkit.
type webFile struct {
	TLS *struct {
		ClientAuth string `yaml:"client_auth_type"`
	} `yaml:"tls_server_config"`
	Users map[string]string `yaml:"basic_auth_users"`
}

// readWebConfig checks the file that an endpoint names, and says what it has.
func (e *Endpoint) readWebConfig() (users bool, err error) {
	if err := web.Validate(e.WebConfig); err != nil {
		return false, fmt.Errorf("%w (the format is that of https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md)", err)
	}
	b, err := os.ReadFile(e.WebConfig)
	if err != nil {
		return false, err
	}
	var f webFile
	if err := yaml.Unmarshal(b, &f); err != nil {
		return false, err
	}
	e.TLS = f.TLS != nil
	e.Guarded = len(f.Users) > 0 || e.TLS && f.TLS.ClientAuth == "RequireAndVerifyClientCert"
	return len(f.Users) > 0, nil
}

// authentications are the values of metrics.authentication.
func authentications() []string { return []string{"none", "kubernetes"} }

func (f *fileReader) metrics(v value) {
	e := &f.config.Metrics
	users := false
	v.mapping(
		field{"listen", listen(&e.Listen)},
		field{"web_config", func(v value) {
			s, ok := v.text()
			if !ok {
				return
			}
			e.WebConfig = s
			var err error
			if users, err = e.readWebConfig(); err != nil {
				v.fail("%v", err)
			}
		}},
		field{"authentication", func(v value) {
			f.config.metricsPlace = fmt.Sprintf("%s:%d:%d", v.file, v.node.Line, v.node.Column)
			var which uint8
			readName(v, &which, authentications())
			e.Review = which == 1
		}},
	)
	switch {
	case !e.Review || e.WebConfig == "":
	case users:
		v.fail("web_config has users, and authentication takes tokens: a request has room for one of both, so remove one")
	case !e.TLS:
		v.fail("web_config has no tls_server_config, so tokens would pass in the clear: add a certificate, or leave web_config out for one that is made up")
	}
}

func (f *fileReader) health(v value) {
	v.mapping(
		field{"listen", listen(&f.config.HealthListen)},
		field{"ready_without_uplink", func(v value) { v.boolean(&f.config.ReadyWithoutUplink) }},
	)
}

func listen(into *string) func(value) {
	return func(v value) {
		s, ok := v.text()
		if !ok {
			return
		}
		*into = s
		if err := CheckListen(s); err != nil {
			v.fail("%v", err)
		}
	}
}

// CheckListen checks the address of an endpoint; "" turns it off.
func CheckListen(s string) error {
	if s == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address with a port (example: %q)", s, DefaultMetricsListen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port number, 0 to 65535", port)
	}
	if host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return fmt.Errorf("%q is not an IP address (leave it out for all addresses)", host)
	}
	return nil
}

// SetMetricsListen replaces the address of the metrics in a complete configuration.
func (c *Config) SetMetricsListen(listen string) {
	c.Metrics.Listen = listen
	c.Warnings = slices.DeleteFunc(c.Warnings, func(w string) bool { return strings.HasPrefix(w, "metrics.listen ") })
	c.warnPublic()
}

// warnPublic tells of metrics that everybody can read, who can reach the host.
func (c *Config) warnPublic() {
	e := c.Metrics
	if e.Listen == "" || e.Guarded || e.Review {
		return
	}
	host, _, err := net.SplitHostPort(e.Listen)
	if a, bad := netip.ParseAddr(host); err == nil && (bad != nil || !a.IsLoopback()) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("metrics.listen %s is open to everybody who can reach it: add web_config, or authentication", e.Listen))
	}
}
