// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// DefaultPath is where the daemon looks for its configuration.
	DefaultPath = "/etc/ndproxyd/config.yaml"
	// DefaultMetricsListen is the address of the metrics endpoint. It is on
	// the loopback interface, as a node's other addresses are public.
	DefaultMetricsListen = "[::1]:9972"
	// DefaultFastPathDirectory is where systemd and Kubernetes' nodes have the file
	// system of pinned programs, and a directory of our own in it.
	DefaultFastPathDirectory = "/sys/fs/bpf/ndproxyd"
	// Version is the only version of the file format.
	Version = 1
)

// Discovery is the configuration without a file and without flags: it follows
// the kernel's routes alone.
func Discovery() *Config {
	return &Config{DiscoverRules: true, Metrics: Endpoint{Listen: DefaultMetricsListen}}
}

// Config is a valid configuration.
type Config struct {
	// Uplinks each have another interface. Without any, the uplinks are the
	// interfaces with an IPv6 default route.
	Uplinks []rules.Uplink
	// Rules are ready to be compiled.
	Rules []rules.Rule
	// DiscoverRules asks for the method route on the uplinks' on-link prefixes
	// instead.
	DiscoverRules bool
	// Devices say of devices of the host where the routes through them lead.
	Devices []rules.DeviceSetting
	// Warnings tell what of the file is odd, or is done otherwise than it says.
	Warnings []string
	// Kubernetes is how to follow a cluster; nil for not.
	Kubernetes *Kubernetes
	// Metrics is where the metrics are served, and to whom.
	Metrics Endpoint
	// HealthListen is the address of health and readiness, "" for none but that
	// of the metrics, which has them, too.
	HealthListen string
	// ReadyWithoutUplink makes a node ready on which no uplink has IPv6.
	ReadyWithoutUplink bool
	// FastPathDirectory is where the programs that answer in the kernel are pinned, so
	// that they outlive the daemon: an absolute path in a bpffs. It is "" before
	// [Config.Complete] where the file does not name it. The daemon takes it at its
	// start only.
	FastPathDirectory string

	metricsPlace  string   // of the key metrics.authentication in its file
	kubernetesOff bool     // the file says so
	ndppd         bool     // the file is an ndppd.conf
	places        []string // of the rules in their file
	ruleUplinks   []named  // the uplinks that rules name, where the file lists none
}

// FromNDPPD reports whether the configuration was read from an ndppd.conf, which has
// words of its own.
func (c *Config) FromNDPPD() bool { return c.ndppd }

// named is the name of an uplink with its place in the file.
type named struct {
	name  string
	place Error
}

// StrayUplinks returns a fault for each name in the uplinks of a rule that is none
// of these, in the order of the file: such a rule holds nowhere. Where the file
// lists its uplinks a stray name is an error already, so there are faults only
// where the uplinks are found by the kernel's default routes. They are no errors,
// as an interface may get its default route later: tell them as warnings once
// the uplinks are known.
func (c *Config) StrayUplinks(uplinks []string) Errors {
	var faults Errors
	for _, n := range c.ruleUplinks {
		if slices.Contains(uplinks, n.name) {
			continue
		}
		e := n.place
		e.Message = message("%q is no uplink, so the rule does not hold there: no IPv6 default route leaves by it%s", []any{n.name, didYouMean(n.name, uplinks)})
		faults = append(faults, &e)
	}
	return faults
}
