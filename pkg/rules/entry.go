// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"time"
)

// Entry is one fact from a source: this prefix is behind us, or it is not. The most
// specific entry of a source counts.
type Entry struct {
	Prefix netip.Prefix
	// Behind is true when packets for the prefix leave by a device behind us, or
	// when this node is the one that has to receive them.
	Behind bool
	// Neighbor is true when the addresses of the prefix are on-link at Device, so
	// that a Neighbor Solicitation can ask for them.
	Neighbor bool
	// Leaving is true for an address that is on its way to another node: it is
	// Behind, so that it is answered until that node announces it, and no longer
	// announced here.
	Leaving bool
	// Device is the index of the device that leads to the prefix, 0 where the
	// source does not know of devices.
	Device int32
	// Since is when the source learned it. Decisions do not depend on it.
	Since time.Time
}

// EntryChange is an entry that is new, has changed, or is gone. Of a gone one only
// the prefix counts.
type EntryChange struct {
	Entry
	Gone bool
}

// fact is an Entry as the store keeps it: compact, and without the prefix, which is
// its key.
type fact struct {
	since    int64 // seconds since 1970
	device   int32
	behind   bool
	neighbor bool
	leaving  bool
}

func (e Entry) fact() fact {
	return fact{since: e.Since.Unix(), device: e.Device, behind: e.Behind, neighbor: e.Neighbor, leaving: e.Leaving}
}

func (f fact) entry(p netip.Prefix) Entry {
	return Entry{Prefix: p, Behind: f.behind, Neighbor: f.neighbor, Leaving: f.leaving, Device: f.device, Since: time.Unix(f.since, 0)}
}

// same reports whether two facts are equal, whenever they were learned.
func (f fact) same(o fact) bool {
	f.since, o.since = 0, 0
	return f == o
}
