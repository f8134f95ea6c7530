// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"log/slog"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Options are what an uplink is made of. Its functions are called by the
// uplink's goroutine, or, as Ask, by its receive loop, and must not block.
type Options struct {
	// Store has the table. The uplink reads it, and sets its guards.
	Store *rules.Store
	// System is the host.
	System System
	// Changed hears that the state or the link's facts have changed.
	Changed func()
	// Ask takes a solicitation whose target has to be asked first, see
	// [ndp.ListenConfig].
	Ask func(ndp.Query) bool
	// Cluster hears what concerns who owns a service address; it is never nil.
	Cluster Cluster
	// Log gets a line for each change of state.
	Log *slog.Logger
}

// System is what an uplink needs of its host.
type System interface {
	// ReadLink is [hostwatch.ReadLink].
	ReadLink(name string, index int) (rules.Link, error)
	// Stations returns the MAC addresses behind the virtual ports of a bridge.
	Stations(bridge int) map[[6]byte]bool
	// Hops are the next hops of the routes through a device, as of now.
	Hops(index int) hostwatch.Hops
	// Listen opens a socket that answers. It may block, but not for ever.
	Listen(ndp.ListenConfig) (ndp.Responder, error)
	// Join returns the memberships of a socket's device.
	Join(rules.MembershipMode, ndp.Responder) Membership
}

// Membership is [ndp.Membership].
type Membership interface {
	Apply(*rules.View, []rules.Delta) error
	Status() ndp.MembershipStatus
	Close() error
}

// Cluster is what the uplinks need of package cluster, see [cluster.Manager].
type Cluster interface {
	// Heard takes in a sign of another station, and reports whether it concerns
	// nobody else: another announcer of the cluster is no conflict.
	Heard(uplink string, s ndp.Sighting) bool
	// Rival reports whether a sign is of a station that answers for a service
	// address of this node, and whether it is time to say so.
	Rival(uplink string, s ndp.Sighting) bool
	// Conflict hears that a station has an address that a rule covers.
	Conflict(a netip.Addr, mac [6]byte)
	// Asks reports whether the link has to be asked who has a service address before
	// this node announces it on an uplink: no announcer of the cluster has been heard
	// to answer for it there.
	Asks(uplink string, a netip.Addr) bool
	// Announced hears that this node announces an address on an uplink.
	Announced(uplink string, a netip.Addr)
	// Shares reports whether an address is one of a service.
	Shares(netip.Addr) bool
	// Owns reports whether this node answers for a service address that it
	// shares out with others.
	Owns(netip.Addr) bool
}

// Kernel is the System of the running host.
type Kernel struct {
	// Watcher knows the stations behind the ports of bridges, and the routes.
	Watcher *hostwatch.Watcher
	// FastPath is what programs in the kernel need of the process.
	FastPath fastpath.Options
}

// Stations implements [System].
func (k Kernel) Stations(bridge int) map[[6]byte]bool { return k.Watcher.Stations(bridge) }

// Hops implements [System].
func (k Kernel) Hops(index int) hostwatch.Hops { return k.Watcher.Routes.HopsOf(index) }

// ReadLink implements [System].
func (Kernel) ReadLink(name string, index int) (rules.Link, error) {
	return hostwatch.ReadLink(name, index)
}

// Listen implements [System].
func (k Kernel) Listen(c ndp.ListenConfig) (ndp.Responder, error) {
	return fastpath.Listen(c, k.FastPath)
}

// Join implements [System].
func (Kernel) Join(m rules.MembershipMode, r ndp.Responder) Membership {
	return ndp.NewMembership(m, r)
}
