// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// wire makes a host route to the device on which a target has answered, where
// the rule asks for that. Packets for the target would have no way otherwise.
func (p *prober) wire(e rules.Entry) {
	device := p.owner.routes.Name(e.Device)
	wanted := func(r rules.Rule) bool {
		return r.Autowire && r.Prefix.Contains(e.Prefix.Addr()) && slices.Contains(r.Devices, device)
	}
	if !slices.ContainsFunc(p.owner.store.Load().Rules(), wanted) {
		return
	}
	err := hostwatch.AddHostRoute(e.Prefix.Addr(), int(e.Device))
	switch {
	case errors.Is(err, os.ErrExist): // somebody else's, which does the job
	case err != nil:
		p.owner.fault("autowire", err)
	default:
		p.wires[e.Prefix.Addr()] = e.Device
	}
}

// rewire makes host routes again that the kernel dropped with their device.
func (p *prober) rewire(device int32) {
	for a, d := range p.wires {
		if d != device {
			continue
		}
		if err := hostwatch.AddHostRoute(a, int(d)); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, unix.ENETDOWN) {
			p.owner.fault("autowire", err)
		}
	}
}

// unwire takes the host route of a target back.
func (p *prober) unwire(a netip.Addr) {
	device, ok := p.wires[a]
	if !ok {
		return
	}
	delete(p.wires, a)
	p.owner.fault("autowire", hostwatch.RemoveHostRoute(a, int(device)))
}

func (p *prober) unwireAll() {
	for a := range p.wires {
		p.unwire(a)
	}
}

// cleanWires removes the host routes that a daemon left behind which was killed.
func (s *supervisor) cleanWires() {
	for _, r := range s.routes.HostRoutes() {
		s.fault("autowire", hostwatch.RemoveHostRoute(r.Address, r.Device))
	}
}
