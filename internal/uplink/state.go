// SPDX-License-Identifier: Apache-2.0

package uplink

import "fmt"

// State tells whether an uplink answers, and else why not.
type State uint8

// The states of an uplink.
const (
	// Absent: there is no interface of that name.
	Absent State = iota
	// Down: the link is down; the socket waits.
	Down
	// NotEthernet: the interface can have no neighbors.
	NotEthernet
	// Port: the interface belongs to a bridge or a bond, which is the one to name.
	Port
	// NoIPv6: the interface has no IPv6.
	NoIPv6
	// NoAddress: there is no address to answer from (RFC 4861 §4.4).
	NoAddress
	// Failed: the socket could not be opened; it is tried again.
	Failed
	// Ready: solicitations are answered.
	Ready
)

// String returns the state's name in logs and in status.
func (s State) String() string {
	switch s {
	case Absent:
		return "absent"
	case Down:
		return "down"
	case NotEthernet:
		return "not_ethernet"
	case Port:
		return "port"
	case NoIPv6:
		return "no_ipv6"
	case NoAddress:
		return "no_address"
	case Failed:
		return "failed"
	case Ready:
		return "ready"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}
