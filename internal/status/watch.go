// SPDX-License-Identifier: Apache-2.0

package status

import (
	"net"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// WatchFilter chooses among solicitations; its zero fields match all.
type WatchFilter struct {
	Prefix    netip.Prefix
	Reason    string
	Interface string
}

// WatchEvent is one line of a watch: a solicitation, or how many there was no
// room for.
type WatchEvent struct {
	*Solicitation
	Missed uint64 `json:"missed,omitempty"`
}

// Matches reports whether the filter lets a solicitation through.
func (f WatchFilter) Matches(s Solicitation) bool {
	return (!f.Prefix.IsValid() || f.Prefix.Contains(s.Target)) &&
		(f.Reason == "" || f.Reason == s.Reason) && (f.Interface == "" || f.Interface == s.Interface)
}

// FromRecord shows what became of a solicitation on an uplink.
func FromRecord(uplink string, r ndp.Record) Solicitation {
	return Solicitation{
		At: r.At, Interface: uplink, Target: r.Target, Source: r.Source,
		MAC: net.HardwareAddr(r.MAC[:]).String(), Kind: r.Kind.String(), Reason: r.Reason.String(),
	}
}
