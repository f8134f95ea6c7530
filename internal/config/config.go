// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/ndproxyd/ndproxyd/pkg/rules"

const (
	// DefaultPath is where the daemon looks for its configuration.
	DefaultPath = "/etc/ndproxyd/config.yaml"
	// DefaultMetricsListen is the address of the metrics endpoint. It is on
	// the loopback interface, as a node's other addresses are public.
	DefaultMetricsListen = "[::1]:9972"
	// Version is the only version of the file format.
	Version = 1
)

// Config is a valid configuration.
type Config struct {
	// Uplinks has at least one element, each with another interface.
	Uplinks []rules.Uplink
	// Rules are ready to be compiled.
	Rules []rules.Rule
	// MetricsListen is the address of the metrics endpoint, "" for none.
	MetricsListen string
}
