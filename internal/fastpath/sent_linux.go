// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"fmt"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// sent reads what the device has sent. Most drivers count what is sent by XDP with the
// rest; some have counters of their own for it, which only ethtool shows.
func (d *device) sent(way ndp.Way) (sent, error) {
	l, err := d.netlink.LinkByIndex(d.index)
	if err != nil {
		return sent{}, fmt.Errorf("look at the device: %w", err)
	}
	s := l.Attrs().Statistics
	if s == nil {
		return sent{}, fmt.Errorf("the device has no statistics")
	}
	out := sent{frames: []uint64{s.TxPackets}, failed: s.TxErrors + s.TxDropped, late: isHardware(l)}
	if way != ndp.WayXDP || !out.late { // that of a veth has what its other end never gets
		return out, nil
	}
	stats, err := d.driverStats(l.Attrs().Name)
	if err != nil {
		return out, nil //nolint:nilerr // the driver has none
	}
	var byXDP, onWire uint64
	for name, n := range stats {
		switch {
		case !strings.Contains(name, "tx") && !strings.Contains(name, "xmit"):
		case isFailure(name):
		case strings.Contains(name, "xdp"):
			byXDP += n
		case strings.Contains(name, "packets") && strings.Contains(name, "phy"):
			onWire += n
		}
	}
	out.frames = append(out.frames, byXDP, onWire)
	return out, nil
}

// isFailure reports whether a driver's counter is of what was not sent.
func isFailure(name string) bool {
	for _, word := range []string{"err", "drop", "full", "fail", "busy", "discard"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
