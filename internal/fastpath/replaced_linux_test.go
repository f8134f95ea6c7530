// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// linkKinds are the ways to attach that have a link, and a program that drops all.
var linkKinds = map[string]struct {
	mode   rules.FastPathMode
	kind   ebpf.ProgramType
	attach ebpf.AttachType
	drop   int32
}{
	"tc":          {rules.FastPathTC, ebpf.SchedCLS, ebpf.AttachTCXIngress, 2}, // TC_ACT_SHOT
	"xdp-generic": {rules.FastPathXDPGeneric, ebpf.XDP, ebpf.AttachXDP, 1},     // XDP_DROP
}

// replace puts a program into a pinned link that drops all, as "bpftool link update" could.
func replace(t *testing.T, pinned string, kind ebpf.ProgramType, attach ebpf.AttachType, drop int32) {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "drops", Type: kind, AttachType: attach, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, drop), asm.Return()},
	})
	check(t, err)
	defer p.Close()
	l, err := link.LoadPinnedLink(pinned+"/"+pinnedLink, nil)
	check(t, err)
	check(t, l.Update(p))
	t.Cleanup(func() { _ = l.Close() }) // that process lives on
}

// TestReplaced has another process put its program into the link while the daemon runs: the
// packet socket answers, status and log say why, and the program comes back.
func TestReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range linkKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var log Logged
			s.config.FastPath, s.options.Log = c.mode, slog.New(slog.NewTextHandler(&log, nil))
			r := s.listenWithin(view(t, static("2001:db8:f1::/64")))
			s.want("first", "2001:db8:f1::1", true)
			way := r.Path().Way
			replace(t, r.Path().Pinned, c.kind, c.attach, c.drop)
			s.want("replaced", "2001:db8:f1::1", false)
			s.eventually("the guard", func() bool {
				return r.Path().Way == ndp.WaySocket && strings.Contains(r.Path().Why, errReplaced.Error())
			})
			s.want("given up", "2001:db8:f1::1", true)
			if !log.Has(errReplaced.Error()) {
				t.Error("the log does not say what has happened")
			}
			s.eventually("the program", func() bool { return r.Path().Way == way })
			before := s.countNow(r)
			s.want("again", "2001:db8:f1::1", true)
			if s.countNow(r) == before {
				t.Error("the program does not answer")
			}
			check(t, s.node.Do(r.Close))
		})
	}
}

// TestTakeOverReplaced has another process put its program into the link that a daemon has
// left: the next daemon puts its own back.
func TestTakeOverReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range linkKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var log Logged
			s.config.FastPath, s.options.Log = c.mode, slog.New(slog.NewTextHandler(&log, nil))
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			pinned := r.Path().Pinned
			crash(t, r)
			replace(t, pinned, c.kind, c.attach, c.drop)
			r = s.listen(view(t, static("2001:db8:f1::/64")))
			before := s.countNow(r)
			s.want("again", "2001:db8:f1::1", true)
			if p := r.Path(); s.countNow(r) == before || p.Pinned != pinned {
				t.Errorf("the program does not answer, the path is %+v", p)
			}
			if !log.Has(errReplaced.Error()) {
				t.Error("the log does not say what has happened")
			}
			crash(t, r) // what is pinned is the program that is attached
			log.Reset()
			r = s.listen(view(t, static("2001:db8:f1::/64")))
			if log.Has(errReplaced.Error()) {
				t.Error("the next daemon takes the program for another's")
			}
			check(t, s.node.Do(r.Close))
		})
	}
}

// countNow returns how often the program has answered, for this daemon.
func (s *stage) countNow(r *Responder) uint64 {
	s.t.Helper()
	check(s.t, r.CountDrops())
	return s.byProgram()
}

// listenWithin is listen, with the responder doing all in the node's namespace.
func (s *stage) listenWithin(v *rules.View) *Responder {
	s.t.Helper()
	s.options.within = func(f func()) { check(s.t, s.node.Do(func() error { f(); return nil })) }
	return s.listen(v)
}
