// SPDX-License-Identifier: Apache-2.0

package rules

// DeviceSetting is what the operator says of some devices of the host: where the
// routes through them lead. One with a Name goes before one with a Kind.
type DeviceSetting struct {
	// Name is that of a device, or of all that begin with it if it ends in "*".
	// It is "" where Kind counts.
	Name string
	// Kind is the kind of devices, as "ip -d link" shows it.
	Kind string
	// Leads is where the routes lead.
	Leads Leads
}

// Leads says where the routes through a device lead.
type Leads uint8

// Where routes may lead.
const (
	// LeadsBehind: to what is behind this host.
	LeadsBehind Leads = iota
	// LeadsElsewhere: to other hosts, which answer for themselves.
	LeadsElsewhere
	// LeadsOnLink: behind this host for what is on-link on the device, and to
	// other hosts by next hops there.
	LeadsOnLink
)

// String returns the name in configuration files.
func (l Leads) String() string { return nameOf(l, LeadsNames()) }

// LeadsNames returns the names in the order of their values.
func LeadsNames() []string { return []string{"behind", "elsewhere", "on-link"} }
