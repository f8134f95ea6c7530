// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/prometheus/exporter-toolkit/web"
)

// Endpoint is where pages are served, and to whom.
type Endpoint struct {
	// Listen is an address with a port, "" for none.
	Listen string
	// WebConfig is a file with certificate and users in the format of Prometheus'
	// exporter-toolkit, "" for none.
	WebConfig string
	// Review asks the API server about the bearer token of each request. Without
	// a certificate of WebConfig one is made up.
	Review bool
}

// authentications are the values of metrics.authentication.
func authentications() []string { return []string{"none", "kubernetes"} }

func (f *fileReader) metrics(v value) {
	e := &f.config.Metrics
	v.mapping(
		field{"listen", listen(&e.Listen)},
		field{"web_config", func(v value) {
			s, ok := v.text()
			if !ok {
				return
			}
			e.WebConfig = s
			if err := web.Validate(s); err != nil {
				v.fail("%v (the format is that of https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md)", err)
			}
		}},
		field{"authentication", func(v value) {
			f.config.metricsPlace = fmt.Sprintf("%s:%d:%d", v.file, v.node.Line, v.node.Column)
			var which uint8
			readName(v, &which, authentications())
			e.Review = which == 1
		}},
	)
}

func (f *fileReader) health(v value) {
	v.mapping(field{"listen", listen(&f.config.HealthListen)})
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

// warnPublic tells of metrics that everybody can read, who can reach the host.
func (c *Config) warnPublic() {
	e := c.Metrics
	if e.Listen == "" || e.WebConfig != "" || e.Review {
		return
	}
	host, _, err := net.SplitHostPort(e.Listen)
	if a, bad := netip.ParseAddr(host); err == nil && (bad != nil || !a.IsLoopback()) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("metrics.listen %s is open to everybody who can reach it: add web_config, or authentication", e.Listen))
	}
}
