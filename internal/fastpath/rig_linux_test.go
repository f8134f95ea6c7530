// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// rig is a responder on one end of a veth, and an asker on the other.
type rig struct {
	*harness.Network
	t         *testing.T
	responder ndp.Responder
	counters  *ndp.Counters
	asker     *harness.Asker
	log       *fastpath.Logged
	directory string // in a bpffs
	view      *rules.View
	changes   chan struct{} // another way answers
}

// newRig makes the link. Nothing answers yet.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Network: harness.NewNetwork(t), t: t, counters: &ndp.Counters{}, log: new(fastpath.Logged), changes: make(chan struct{}, 100)}
	r.directory = bpffs(t)
	r.asker = harness.NewAsker(t, r.Router, harness.RouterPort)
	table, err := rules.Compile(conformance.Rules())
	must(t, err)
	r.view = table.View(harness.Uplink)
	return r
}

// listen answers on a device of the node.
func (r *rig) listen(device string, u rules.Uplink, o fastpath.Options) {
	r.t.Helper()
	o.Log = slog.New(slog.NewTextHandler(r.log, nil))
	if o.Directory == "" {
		o.Directory = r.directory
	}
	u.Interface = device
	o = o.Within(func(f func()) {
		if err := r.Node.Do(func() error { f(); return nil }); err != nil {
			r.t.Error(err)
		}
	})
	must(r.t, r.Node.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		link := conformance.Link(ifi.Index)
		link.Name, link.MAC = device, [6]byte(ifi.HardwareAddr)
		r.responder, err = fastpath.Listen(ndp.ListenConfig{
			Interface: ndp.NewInterface(link, u), View: r.view, Counters: r.counters, Recent: &ndp.Recent{},
			PathChanged: func() { r.changes <- struct{}{} },
		}, o)
		return err
	}))
	r.t.Cleanup(func() { r.close() })
}

func (r *rig) close() {
	r.t.Helper()
	if r.responder == nil {
		return
	}
	if err := r.responder.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
	r.responder = nil
}

// byProgram returns how many answers are the program's.
func (r *rig) byProgram() (n uint64) {
	r.t.Helper()
	must(r.t, r.responder.CountDrops())
	for k := range r.counters.ByProgram {
		n += r.counters.ByProgram[k].Load()
	}
	return n
}

// wantAnswers asks until there is an answer of the program, or of the packet socket. What
// was asked before may still come.
func (r *rig) wantAnswers(program bool) {
	r.t.Helper()
	harness.Eventually(r.t, fmt.Sprintf("an answer, by the program: %t", program), func() bool {
		before := r.byProgram()
		return r.asker.Ask(conformance.Pod, harness.Quiet) != nil && (r.byProgram() > before) == program
	})
}

// wantPath checks which way answers, and why.
func (r *rig) wantPath(hook, why string) {
	r.t.Helper()
	p := r.responder.Path()
	if p.Hook != hook || !strings.Contains(p.Why, why) || why == "" && p.Why != "" {
		r.t.Errorf("the path is %q because of %q, not %q because of %q", p.Hook, p.Why, hook, why)
	}
}

// waitPath waits until another way answers.
func (r *rig) waitPath(hook string) {
	r.t.Helper()
	harness.Eventually(r.t, "the path "+hook, func() bool { return r.responder.Path().Hook == hook })
}

// in calls f in a namespace with a device of it.
func in(t *testing.T, ns *lab.Namespace, device string, f func(index int) error) {
	t.Helper()
	must(t, ns.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		return f(ifi.Index)
	}))
}

// program loads a program that returns a number for every frame.
func program(t *testing.T, kind ebpf.ProgramType, name string, returns int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: kind, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, returns), asm.Return()},
	})
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}
