// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// autowire keeps the host routes to targets that have answered. It belongs to the
// Prober's goroutine.
type autowire struct {
	kernel  Wires
	devices Devices
	faults  *faults
	ours    map[netip.Addr]hostwatch.HostRoute // by target
}

// add makes a host route to the device on which a target has answered, where the
// rule asks for that. Packets for the target would have no way otherwise.
func (w *autowire) add(rs []rules.Rule, e rules.Entry) {
	target := e.Prefix.Addr()
	if old, ours := w.ours[target]; ours && old.Device != int(e.Device) {
		w.remove(target) // it has moved
	}
	name := w.devices.Name(e.Device)
	at := slices.IndexFunc(rs, func(r rules.Rule) bool {
		return r.Autowire && r.Prefix.Contains(target) && slices.Contains(r.Devices, name)
	})
	if at < 0 {
		return
	}
	route := hostwatch.HostRoute{Address: target, Device: int(e.Device), Table: rs[at].Table}
	if route.Table == 0 {
		route.Table = w.devices.VRF(e.Device)
	}
	err := w.kernel.Add(route)
	switch {
	case errors.Is(err, os.ErrExist): // somebody else's, which does the job
	case err != nil:
		w.faults.report("adding a host route", err)
	default:
		w.ours[target] = route
	}
}

// restore makes the host routes again that the kernel dropped with their device.
func (w *autowire) restore(index int32) {
	for _, route := range w.ours {
		if route.Device != int(index) {
			continue
		}
		err := w.kernel.Add(route)
		if err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, unix.ENETDOWN) {
			w.faults.report("adding a host route", err)
		}
	}
}

// remove removes the host route of a target, where it is ours.
func (w *autowire) remove(target netip.Addr) {
	route, ours := w.ours[target]
	if !ours {
		return
	}
	delete(w.ours, target)
	w.faults.report("removing a host route", w.kernel.Remove(route))
}

func (w *autowire) removeAll() {
	for target := range w.ours {
		w.remove(target)
	}
}

// removeOld removes the host routes that a killed process left behind.
func (w *autowire) removeOld() {
	for _, r := range w.kernel.Existing() {
		w.faults.report("removing a host route", w.kernel.Remove(r))
	}
}
