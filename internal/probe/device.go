// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// linkRetry is how long a device that could not be read is left alone.
const linkRetry = time.Second

// errNoNeighbors is that there is nobody to ask on a device, such as a tunnel.
var errNoNeighbors = errors.New("the device has no Ethernet and no neighbor discovery: give its prefix the method route")

// device is an interface as it was read last.
type device struct {
	facts *ndp.Interface // nil when nobody can be asked there
	until time.Time      // when an error of reading is forgotten; zero for no error
}

// device returns a device, and reads it from the kernel where it is not known. The
// facts are nil when nobody can be asked there.
func (p *Prober) device(index int32) *ndp.Interface {
	if d, known := p.devices[index]; known && (d.until.IsZero() || time.Now().Before(d.until)) {
		return d.facts
	}
	var d device
	link, err := p.config.ReadLink(int(index))
	switch {
	case err != nil:
		d.until = time.Now().Add(linkRetry)
		p.faults.report("reading device "+p.config.Devices.Name(index), err)
	case !link.Ethernet:
		p.faults.report("asking on device "+link.Name, errNoNeighbors)
	default:
		d.facts = ndp.NewInterface(link, rules.Uplink{Source: rules.SourceLinkLocal})
	}
	p.devices[index] = d
	return d.facts
}

// askable returns those of the devices that can be asked on: elsewhere a
// solicitation would be a packet that nobody understands.
func (p *Prober) askable(indices []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(indices), func(index int32) bool { return p.device(index) == nil })
}

// send asks for one target on one device.
func (p *Prober) send(s ndp.Solicit) {
	if p.socket == nil {
		p.table.NotAsked(s)
		return
	}
	d := p.device(s.Device)
	if d == nil {
		p.table.NotAsked(s)
		return
	}
	if err := p.socket.Send(d, s.Target); err != nil {
		p.table.NotAsked(s)
		p.faults.report("asking on device "+p.config.Devices.Name(s.Device), fmt.Errorf("ask for %s: %w", s.Target, err))
	}
}

// deviceChanged reads a device again when it is next asked on.
func (p *Prober) deviceChanged(index int32, out *ndp.Outcome) {
	delete(p.devices, index)
	if !p.config.Devices.Has(index) {
		p.table.DeviceGone(index, out)
		return
	}
	p.wires.restore(index)
}

// anyDeviceChanged is deviceChanged for all: events were lost, so every device
// that a target is looked for on may have changed or gone.
func (p *Prober) anyDeviceChanged(out *ndp.Outcome) {
	clear(p.devices)
	gone := make(map[int32]bool)
	isGone := func(index int32) bool {
		if _, known := gone[index]; !known {
			gone[index] = !p.config.Devices.Has(index)
		}
		return gone[index]
	}
	p.table.Keep(func(_ netip.Addr, plan ndp.Plan) bool { return !slices.ContainsFunc(plan.Devices, isGone) }, out)
	restored := make(map[int32]bool)
	for _, route := range p.wires.ours {
		index := int32(route.Device) //nolint:gosec // the kernel's int
		if !restored[index] && !isGone(index) {
			restored[index] = true
			p.wires.restore(index)
		}
	}
}
