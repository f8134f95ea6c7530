// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"log/slog"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Config is what a Prober works with.
type Config struct {
	// Store holds the rules, and gets the targets that have answered.
	Store *rules.Store
	// Devices are the interfaces of the host.
	Devices Devices
	// ReadLink reads the facts of the interface with that index.
	ReadLink func(index int) (rules.Link, error)
	// Open opens the probe socket.
	Open func() (Socket, error)
	// Wires makes host routes.
	Wires Wires
	// Neighbors reads the kernel's neighbor table: hostwatch.ReadNeighbors.
	Neighbors func() ([]hostwatch.Neighbor, error)
	Log       *slog.Logger
}

// Devices are the interfaces of the host, as they are known without asking the
// kernel: *hostwatch.Routes.
type Devices interface {
	// Index returns the index of the interface with that name, 0 for none.
	Index(name string) int32
	// Name returns the name of the interface with that index.
	Name(index int32) string
	// Has reports whether there is an interface with that index.
	Has(index int32) bool
	// VRF returns the table of the VRF that an interface belongs to, 0 for none.
	VRF(index int32) uint32
}

// Socket sends solicitations and hears the answers: *ndp.ProbeSocket.
type Socket interface {
	// Send asks for a target on a device.
	Send(device *ndp.Interface, target netip.Addr) error
	// Run hands every answer to f, until Close, and returns nil then. proxy is true
	// for one that may be another proxy's.
	Run(f func(target netip.Addr, device int, proxy bool)) error
	Close() error
}

// Wires makes and removes the host routes of autowire: [KernelWires].
type Wires interface {
	// Existing returns the routes that an earlier process has left behind.
	Existing() []hostwatch.HostRoute
	// Add makes a route. The error wraps os.ErrExist where there is one already.
	Add(hostwatch.HostRoute) error
	// Remove removes a route, if it is there.
	Remove(hostwatch.HostRoute) error
}

// KernelWires are host routes in the kernel's tables.
type KernelWires struct{ Routes *hostwatch.Routes }

// Existing returns the routes of this program that were there at the start.
func (w KernelWires) Existing() []hostwatch.HostRoute { return w.Routes.HostRoutes() }

// Add makes a route.
func (KernelWires) Add(r hostwatch.HostRoute) error { return hostwatch.AddHostRoute(r) }

// Remove removes a route.
func (KernelWires) Remove(r hostwatch.HostRoute) error { return hostwatch.RemoveHostRoute(r) }
