// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// atTCX attaches another program at tc ingress.
func atTCX(t *testing.T, r *rig, anchor link.Anchor, returns int32) {
	t.Helper()
	p := program(t, ebpf.SchedCLS, "another", returns)
	var l link.Link
	in(t, r.Node, harness.Uplink, func(index int) (err error) {
		l, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: anchor})
		return err
	})
	t.Cleanup(func() { _ = l.Close() })
}

// atClsact adds another filter, as Cilium and Calico do where there is no tcx.
func atClsact(t *testing.T, r *rig, priority uint16, returns int32) {
	t.Helper()
	p := program(t, ebpf.SchedCLS, "another", returns)
	in(t, r.Node, harness.Uplink, func(index int) error {
		_ = r.Node.Link.QdiscAdd(&netlink.GenericQdisc{ // it may be there
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}, QdiscType: "clsact",
		})
		return r.Node.Link.FilterReplace(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: priority, Protocol: unix.ETH_P_ALL},
			Fd:          p.FD(), Name: "another", DirectAction: true,
		})
	})
}

// TestOrder attaches the program beside another's: ours is before those that are there,
// and one that comes before ours takes nothing from the asker.
func TestOrder(t *testing.T) {
	t.Parallel()
	const dropped = 2
	type step func(*testing.T, *rig)
	tcx := func(anchor link.Anchor, returns int32) step {
		return func(t *testing.T, r *rig) { t.Helper(); atTCX(t, r, anchor, returns) }
	}
	filter := func(priority uint16, returns int32) step {
		return func(t *testing.T, r *rig) { t.Helper(); atClsact(t, r, priority, returns) }
	}
	u32 := func(t *testing.T, r *rig) { // another kind of filter at the first priority
		t.Helper()
		in(t, r.Node, harness.Uplink, func(index int) error {
			must(t, r.Node.Link.QdiscAdd(&netlink.GenericQdisc{
				QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}, QdiscType: "clsact",
			}))
			return r.Node.Link.FilterAdd(&netlink.U32{
				FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Priority: 1, Protocol: unix.ETH_P_IP},
				ClassId:     netlink.MakeHandle(1, 1),
			})
		})
	}
	for name, c := range map[string]struct {
		old           bool
		before, after step
		program       bool // ours answers, and the packet socket otherwise
		left          int  // hooks of tc afterwards
	}{
		"another passes, and was first":       {before: tcx(link.Head(), tcNext), program: true},
		"another accepts, and was first":      {before: tcx(link.Head(), tcOK), program: true},
		"another drops, and was first":        {before: tcx(link.Head(), dropped), program: true},
		"another passes, and comes behind":    {after: tcx(link.Tail(), tcNext), program: true},
		"another drops, and comes behind":     {after: tcx(link.Tail(), dropped), program: true},
		"another passes, and comes before us": {after: tcx(link.Head(), tcNext), program: true},
		"another accepts, and comes before":   {after: tcx(link.Head(), tcOK)},
		"a filter that drops was first":       {before: filter(1, dropped), program: true, left: 1},
		"a filter that drops comes":           {after: filter(1, dropped), program: true, left: 1},
		"old: behind a filter that passes":    {old: true, before: filter(1, tcNext), program: true, left: 1},
		"old: before a filter that accepts":   {old: true, before: filter(2, tcOK), program: true, left: 1},
		"old: a filter that accepts comes":    {old: true, after: filter(2, tcOK), program: true, left: 1},
		"old: beside another kind of filter":  {old: true, before: u32, program: true, left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, o, hook := newRig(t), fastpath.Options{}, "tcx"
			if c.old {
				o, hook = o.WithoutTCX(), "clsact"
			}
			if c.before != nil {
				c.before(t, r)
			}
			r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, o)
			r.wantPath(hook, "")
			if c.after != nil {
				c.after(t, r)
			}
			r.wantAnswers(c.program)
			r.close()
			if n := qdiscs(t, r.Node); n != c.left {
				t.Errorf("%d hooks of tc are left, not %d", n, c.left)
			}
		})
	}
}

// TestLeftFilter replaces the filter that a daemon has left which was killed.
func TestLeftFilter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	left := program(t, ebpf.SchedCLS, "left", tcOK)
	l, err := r.Node.Link.LinkByName(harness.Uplink)
	must(t, err)
	atClsact(t, r, 3, tcNext)
	must(t, r.Node.Link.FilterReplace(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 0x6e64, Priority: 7, Protocol: unix.ETH_P_ALL},
		Fd:          left.FD(), Name: "ndproxyd", DirectAction: true,
	}))
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, fastpath.Options{}.WithoutTCX())
	r.wantAnswers(true)
	filters := func() int {
		all, err := r.Node.Link.FilterList(l, netlink.HANDLE_MIN_INGRESS)
		must(t, err)
		return len(all)
	}
	if n := filters(); n != 2 {
		t.Errorf("there are %d filters, not ours and the other's", n)
	}
	r.close()
	if n := filters(); n != 1 {
		t.Errorf("%d filters are left, not the other's", n)
	}
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathOff}, fastpath.Options{})
	if f := r.asker.Ask(conformance.Pod, harness.Quiet); f == nil {
		t.Error("nobody answers without the program")
	}
}
