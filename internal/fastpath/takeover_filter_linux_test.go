// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// TestTakeOverFilter goes on with a filter of clsact, which is not pinned and stays.
func TestTakeOverFilter(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.options.withoutTCX = true
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	if p := r.Path(); p.Hook != "clsact" || p.Pinned == "" {
		t.Fatalf("the path is %+v", p)
	}
	s.want("first", "2001:db8:f1::1", true)
	crash(t, r)
	s.want("without a daemon", "2001:db8:f1::1", true)
	check(t, s.node.Do(func() error {
		if at := Attached(onDevice); at != atTC {
			t.Errorf("it is attached at %q", at)
		}
		return nil
	}))
	r = s.listen(view(t, static("2001:db8:f1::/64"), static("2001:db8:f2::/64")))
	s.want("again", "2001:db8:f1::1", true)
	s.want("again", "2001:db8:f2::1", true)
	check(t, r.CountDrops())
	if n := s.byProgram(); n != 4 || r.Path().Pinned == "" {
		t.Errorf("%d answers are counted, the path is %+v", n, r.Path())
	}
	check(t, r.Hold())
	s.want("ended", "2001:db8:f1::1", true)
	s.config.FastPath = rules.FastPathXDPGeneric
	r = s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("by XDP", "2001:db8:f1::1", true)
	if p := r.Path(); p.Way != ndp.WayXDPGeneric {
		t.Errorf("the path is %+v", p)
	}
	check(t, s.node.Do(r.Close))
	s.want("closed", "2001:db8:f1::1", false)
}

// TestFilterRenamed removes the filter from a device that has got another name while no
// daemon ran, and whose name is another device's now.
func TestFilterRenamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.options.withoutTCX = true
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("running", "2001:db8:f1::1", true)
	crash(t, r)
	l, err := s.node.Link.LinkByName(onDevice)
	check(t, err)
	check(t, s.node.Link.LinkSetDown(l))
	check(t, s.node.Link.LinkSetName(l, "renamed"))
	check(t, s.node.Link.LinkSetUp(l))
	check(t, s.router.Veth("another", conformance.RouterMAC, s.node, onDevice, conformance.OtherMAC))
	r = s.listen(view(t, static("2001:db8:f1::/64")))
	filters, err := s.node.Link.FilterList(l, netlink.HANDLE_MIN_INGRESS)
	if err != nil || len(filters) > 0 {
		t.Errorf("the filters are %v, %v", filters, err)
	}
	check(t, s.node.Do(r.Close))
}
