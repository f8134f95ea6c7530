// SPDX-License-Identifier: Apache-2.0

package pools

import (
	"fmt"
	"net/netip"
	"slices"
)

// Port is a port of a service with its protocol.
type Port struct {
	Protocol string
	Number   int32
}

func (p Port) String() string { return fmt.Sprintf("%s port %d", p.Protocol, p.Number) }

// Request is what a service asks for.
type Request struct {
	// Service is its key, Namespace a part of that.
	Service, Namespace string
	// Has are the addresses of its status.
	Has []netip.Addr
	// Wanted are the addresses that it asks for, if any. Pool is the one that it asks
	// for, "" for any.
	Wanted []netip.Addr
	Pool   string
	// ShareKey lets services with the same one have the same address, as long as no
	// port is in two of them; "" for none.
	ShareKey string
	Ports    []Port
	// Backend is the same for services whose traffic any node that takes the one's
	// takes for the other: "" where every node does, else the selector of the pods.
	Backend string
}

// conflict says why two services cannot share an address, "" if they can.
func (r *Request) conflict(o *Request) string {
	switch {
	case r.ShareKey == "" || r.ShareKey != o.ShareKey:
		return "which does not share it by the same key"
	case r.Backend != o.Backend:
		return "whose policy Local leads to other pods"
	}
	for _, p := range r.Ports {
		if slices.Contains(o.Ports, p) {
			return fmt.Sprintf("which has %s as well", p)
		}
	}
	return ""
}
