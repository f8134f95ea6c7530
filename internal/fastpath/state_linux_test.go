// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// TestDeviceState sees each change of a device after which a way may work that did not.
func TestDeviceState(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var d *device
	check(t, s.node.Do(func() error {
		l, err := s.node.Link.LinkByName(onDevice)
		if err == nil {
			d, err = openDevice(l.Attrs().Index)
		}
		return err
	}))
	defer d.close()
	link := d.handle()
	before := d.state()
	for _, step := range []struct {
		name   string
		change func() error
	}{
		{"the MAC address", func() error { return s.node.Link.LinkSetHardwareAddr(link, conformance.OtherMAC[:]) }},
		{"the MTU", func() error { return s.node.Link.LinkSetMTU(link, 1400) }},
		{"down", func() error { return s.node.Link.LinkSetDown(link) }},
		{"up", func() error { return s.node.Link.LinkSetUp(link) }},
		{"a master", func() error {
			bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge"}}
			if err := s.node.Link.LinkAdd(bridge); err != nil {
				return err
			}
			return s.node.Link.LinkSetMaster(link, bridge)
		}},
	} {
		check(t, step.change())
		s.eventually("another state: "+step.name, func() bool { return d.state() != before }) // the carrier comes a moment later
		before = d.state()
	}
	check(t, s.node.Delete(onDevice))
	if gone := d.state(); gone.known {
		t.Errorf("gone, the state is %+v", gone)
	}
}
