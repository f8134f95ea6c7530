// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Facts is what an uplink shows of itself at one moment. It never changes; do
// not write to what it points to.
type Facts struct {
	// Config are the settings in force.
	Config rules.Uplink
	// State tells whether solicitations are answered, Why in one sentence why
	// they are not, and Since since when that is so.
	State State
	Why   string
	Since time.Time
	// Looked is set once the uplink has looked for its interface.
	Looked bool
	// Link is the zero Link, and Interface nil, while there is no device.
	Link      rules.Link
	Interface *ndp.Interface
	// View is what the uplink answers for.
	View *rules.View
	// Membership is what the socket has joined.
	Membership ndp.MembershipStatus
	// Path is which way solicitations are answered, by now: a program in the kernel may
	// come and go, and gets new lines, without another change of the uplink.
	Path ndp.Path
	// Conflicts are the addresses that are left to another station, in order.
	Conflicts []Conflict
	// Announcing counts the addresses that are being announced, Unannounced
	// those for which there was no room.
	Announcing  int
	Unannounced uint64
	// Counters and Recent live as long as the uplink does, and may be read at
	// any time.
	Counters *ndp.Counters
	Recent   *ndp.Recent

	alive func(context.Context) error // of the receive loop, nil without one
	path  func() ndp.Path             // which Path is read from, nil as well
}

// Conflict is an address that a rule covers and another station has.
type Conflict struct {
	Address netip.Addr
	MAC     [6]byte
	Since   time.Time
}

// FellBack reports whether solicitations are answered another way than the settings
// name. They name none with [rules.FastPathAuto] and [rules.FastPathOff].
func (f *Facts) FellBack() bool {
	if f.Path.Since.IsZero() { // nothing answers
		return false
	}
	switch f.Config.FastPath {
	case rules.FastPathTC:
		return f.Path.Way != ndp.WayTC
	case rules.FastPathXDP:
		return f.Path.Way != ndp.WayXDP
	case rules.FastPathXDPGeneric:
		return f.Path.Way != ndp.WayXDPGeneric
	case rules.FastPathAuto, rules.FastPathOff:
	}
	return false
}
