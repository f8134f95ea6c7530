// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// wantAgain checks whether status tells when the program, or a better way, is tried again.
func (r *rig) wantAgain(again bool) {
	r.t.Helper()
	if p := r.responder.Path(); p.Again.IsZero() == again {
		r.t.Errorf("the path %q, because of %q, is tried again at %s", p.Hook, p.Why, p.Again)
	}
}

// wantOutlived ends the responder, after which what is pinned answers.
func (r *rig) wantOutlived() {
	r.t.Helper()
	must(r.t, r.responder.Hold())
	r.responder = nil
	if f := r.asker.Ask(conformance.Pod, harness.Quiet*20); f == nil {
		r.t.Error("nobody answers without the daemon")
	}
}

// TestRetried attaches the program again after a change of it has failed.
func TestRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, fastpath.Options{Directory: t.TempDir()})
	must(t, r.Node.Do(func() error { fastpath.GiveUp(r.responder, errors.New("no room")); return nil }))
	r.wantPath("", "no room")
	r.wantAgain(true)
	r.waitPath("tcx")
	r.wantAnswers(true)
}

// TestRetriedWithoutRoom starts the program once the hook has room for it.
func TestRetriedWithoutRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var others []link.Link
	in(t, r.Node, harness.Uplink, func(index int) error {
		for {
			p := program(t, ebpf.SchedCLS, "another", tcNext)
			l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress})
			if errors.Is(err, unix.ERANGE) {
				return nil
			} else if err != nil {
				return err
			}
			t.Cleanup(func() { _ = l.Close() })
			others = append(others, l)
		}
	})
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, fastpath.Options{})
	r.wantPath("", "attach at tc ingress")
	r.wantAgain(true)
	r.wantAnswers(false)
	since := r.responder.Path().Since
	harness.Eventually(t, "an attempt", func() bool { return len(r.changes) > 0 })
	if p := r.responder.Path(); p.Since != since {
		t.Errorf("the packet socket answers since %s, and not since %s", p.Since, since)
	}
	must(t, others[0].Close())
	r.waitPath("tcx")
	r.wantPath("tcx", "")
	r.wantAgain(false)
	r.wantAnswers(true)
}

// TestMountedLate has the bpffs mounted after the daemon has started: the program is
// loaded then where that takes one, and pinned where it does not.
func TestMountedLate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode rules.FastPathMode
		hook string // before
	}{"auto": {rules.FastPathAuto, ""}, "tc": {rules.FastPathTC, "tcx"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, mount := newRig(t), t.TempDir()
			r.listen(harness.Uplink, rules.Uplink{FastPath: c.mode}, fastpath.Options{Directory: filepath.Join(mount, "ndproxyd")}.Eager())
			if p := r.responder.Path(); p.Hook != c.hook || !strings.Contains(p.Why+p.Unpinned, "is not in a bpffs") {
				t.Errorf("the path is %+v", p)
			}
			r.wantAgain(c.hook == "")
			must(t, unix.Mount("bpf", mount, "bpf", 0, ""))
			t.Cleanup(func() { must(t, unix.Unmount(mount, unix.MNT_DETACH)) })
			harness.Eventually(t, "pins", func() bool { return r.responder.Path().Pinned != "" })
			r.wantPath("tcx", "")
			r.wantAnswers(true)
			r.wantOutlived()
		})
	}
}

// TestClimbs takes the way that the settings ask for once another program leaves it: what
// answered meanwhile is gone, and what is pinned is the hook that answers.
func TestClimbs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode   rules.FastPathMode
		old    bool // the kernel
		before string
		after  string
	}{
		"generic":                     {mode: rules.FastPathXDPGeneric, before: "tcx", after: "xdp generic"},
		"generic, of a kernel before": {mode: rules.FastPathXDPGeneric, old: true, before: "clsact", after: "xdp generic"},
		"native":                      {mode: rules.FastPathXDP, before: "tcx", after: "xdp native"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, o := newRig(t), fastpath.Options{}
			if c.old {
				o = o.WithoutTCX()
			}
			peerXDP(t, r)
			there := occupy(t, r.Node, harness.Uplink, link.XDPGenericMode)
			r.listen(harness.Uplink, rules.Uplink{FastPath: c.mode}, o)
			r.wantPath(c.before, "the XDP hook is taken")
			r.wantAgain(true)
			r.wantAnswers(true)
			must(t, there.Close())
			r.waitPath(c.after)
			r.wantPath(c.after, "")
			r.wantAgain(false)
			r.wantAnswers(true)
			if n := qdiscs(t, r.Node); n != 0 {
				t.Errorf("%d hooks of tc are left", n)
			}
			in(t, r.Node, harness.Uplink, func(index int) error {
				at, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
				if err == nil && len(at.Programs) > 0 {
					t.Errorf("%d programs are left at tc ingress", len(at.Programs))
				}
				return err
			})
			if _, err := os.Stat(filepath.Join(r.responder.Path().Pinned, "link")); err != nil {
				t.Error(err)
			}
			r.wantOutlived()
		})
	}
}

// TestNotRetried leaves what no time changes.
func TestNotRetried(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]rules.Uplink{
		"off":         {FastPath: rules.FastPathOff},
		"early":       {FastPath: rules.FastPathAuto, Early: true},
		"a limit":     {FastPath: rules.FastPathTC, LimitPerAsker: 5},
		"another way": {FastPath: rules.FastPathXDPGeneric, Early: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.listen(harness.Uplink, u, fastpath.Options{})
			r.wantAgain(false)
		})
	}
}
