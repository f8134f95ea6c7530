// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestDetached has another detach the program: the packet socket answers at once, status
// says why, and the program is attached again.
func TestDetached(t *testing.T) {
	t.Parallel()
	detach := func(t *testing.T, r *rig) { // as bpftool link detach
		t.Helper()
		must(t, fastpath.DetachLink(r.responder))
	}
	for name, c := range map[string]struct {
		mode   rules.FastPathMode
		old    bool
		detach func(t *testing.T, r *rig)
		hook   string
	}{
		"tcx":     {mode: rules.FastPathTC, detach: detach, hook: "tcx"},
		"generic": {mode: rules.FastPathXDPGeneric, detach: detach, hook: "xdp generic"},
		"filter": {mode: rules.FastPathTC, old: true, hook: "clsact", detach: func(t *testing.T, r *rig) { // as tc filter del
			t.Helper()
			in(t, r.Node, harness.Uplink, func(index int) error {
				l := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
				filters, err := r.Node.Link.FilterList(l, netlink.HANDLE_MIN_INGRESS)
				if err != nil || len(filters) != 1 {
					return errors.Join(err, errors.New("there is not one filter"))
				}
				return r.Node.Link.FilterDel(filters[0])
			})
		}},
		"hook of tc": {mode: rules.FastPathTC, old: true, hook: "clsact", detach: func(t *testing.T, r *rig) { // as tc qdisc del
			t.Helper()
			in(t, r.Node, harness.Uplink, func(index int) error {
				return r.Node.Link.QdiscDel(&netlink.GenericQdisc{
					QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}, QdiscType: "clsact",
				})
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, o := newRig(t), fastpath.Options{}
			if c.old {
				o = o.WithoutTCX()
			}
			r.listen(harness.Uplink, rules.Uplink{FastPath: c.mode}, o)
			r.wantAnswers(true)
			c.detach(t, r)
			if f := r.asker.Ask(conformance.Pod, harness.Quiet*20); f == nil {
				t.Error("nobody answers when the program is detached")
			}
			<-r.changes // that it was found out
			r.waitPath(c.hook)
			r.wantPath(c.hook, "")
			r.wantAnswers(true)
			if !r.log.Has("was detached by another") {
				t.Error("the log does not say what has happened")
			}
		})
	}
}

// TestEmptied has another empty the program's maps: the packet socket answers at once,
// and the table is built anew.
func TestEmptied(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]func(t *testing.T, r *rig){
		"lines": func(t *testing.T, r *rig) {
			t.Helper()
			_, _, _, table, _ := fastpath.Maps(r.responder)
			var keys [][]byte
			var k, v []byte
			for all := table.Iterate(); all.Next(&k, &v); {
				keys = append(keys, bytes.Clone(k))
			}
			for _, k := range keys {
				must(t, table.Delete(k))
			}
		},
		"table": func(t *testing.T, r *rig) {
			t.Helper()
			_, lines, _, _, slot := fastpath.Maps(r.responder)
			must(t, lines.Delete(slot))
		},
		"facts": func(t *testing.T, r *rig) {
			t.Helper()
			config, _, _, _, _ := fastpath.Maps(r.responder)
			must(t, config.Delete(uint32(0)))
		},
		"sign of life": func(t *testing.T, r *rig) {
			t.Helper()
			_, _, life, _, _ := fastpath.Maps(r.responder)
			must(t, life.Put(uint32(0), make([]byte, 16)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, fastpath.Options{})
			r.wantAnswers(true)
			empty(t, r)
			if f := r.asker.Ask(conformance.Pod, harness.Quiet*20); f == nil {
				t.Error("nobody answers when the maps are empty")
			}
			harness.Eventually(t, "answers of the program", func() bool {
				before := r.byProgram()
				return r.asker.Ask(conformance.Pod, harness.Quiet) != nil && r.byProgram() > before
			})
			r.wantPath("tcx", "")
		})
	}
}

// TestSocketClosed closes the packet socket alone: the program goes on to answer, and
// what opened both hears that it has to open them anew.
func TestSocketClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, fastpath.Options{})
	r.wantAnswers(true)
	_ = r.responder.(*fastpath.Responder).Listener.Close()
	<-r.responder.Done()
	if f := r.asker.Ask(conformance.Pod, harness.Quiet*20); f == nil {
		t.Error("the program does not answer without the socket")
	}
	_ = r.responder.Close() // which says that the socket was closed
	r.responder = nil
}

// TestLost attaches the program where its answers are lost without an error: the guard
// sees that they do not leave, and the next way answers.
func TestLost(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T, *rig){
		"nobody receives by XDP": func(*testing.T, *rig) {},
		"only GRO":               peerGRO,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			prepare(t, r)
			r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathXDP}, fastpath.Options{}.Blind())
			r.wantPath("xdp native", "")
			harness.Eventually(t, "an answer", func() bool { return r.asker.Ask(conformance.Pod, harness.Quiet) != nil })
			r.waitPath("tcx")
			r.wantPath("tcx", "xdp: answers do not leave the device")
			r.wantAnswers(true)
			if p := r.responder.Path(); p.Way != ndp.WayTC || time.Until(p.Again) < time.Minute {
				t.Errorf("the path is %+v", p)
			}
		})
	}
}

// TestPeerLost has the other end of a veth give its XDP program up.
func TestPeerLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	there := occupy(t, r.Router, harness.RouterPort, link.XDPDriverMode)
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathXDP}, fastpath.Options{})
	r.wantPath("xdp native", "")
	r.wantAnswers(true)
	must(t, there.Close())
	harness.Eventually(t, "an answer", func() bool { return r.asker.Ask(conformance.Pod, harness.Quiet) != nil })
	r.waitPath("tcx")
	r.wantPath("tcx", "xdp: answers do not leave the device")
}

// TestDescriptors closes everything that it opens.
func TestDescriptors(t *testing.T) {
	r := newRig(t)
	count := func() int {
		all, err := filepath.Glob("/proc/self/fd/*")
		must(t, err)
		n := 0
		for _, f := range all {
			if to, err := os.Readlink(f); err == nil && (strings.Contains(to, "bpf") || strings.Contains(to, "socket")) {
				n++
			}
		}
		return n
	}
	before := count()
	for _, c := range []struct {
		mode rules.FastPathMode
		o    fastpath.Options
	}{{rules.FastPathTC, fastpath.Options{}}, {rules.FastPathTC, fastpath.Options{}.WithoutTCX()}, {rules.FastPathXDPGeneric, fastpath.Options{}}, {rules.FastPathXDP, fastpath.Options{}}} {
		r.listen(harness.Uplink, rules.Uplink{FastPath: c.mode}, c.o)
		r.wantAnswers(true)
		r.close()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors are open, not %d", after, before)
	}
}
