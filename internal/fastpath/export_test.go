// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"time"

	"github.com/cilium/ebpf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// WithoutTCX has the kernel used as one before Linux 6.6.
func (o Options) WithoutTCX() Options { o.withoutTCX = true; return o }

// Blind has nothing looked at before the program is attached.
func (o Options) Blind() Options { o.blind = true; return o }

// Refusing has a way whose answers are lost be refused for as long at first, and for as
// long as that where the device has changed.
func (o Options) Refusing(first, changed time.Duration) Options {
	o.refuse = refusal{times: backoff{first: first, last: lastRefusal}, changed: changed}
	return o
}

// LookedAt reports whether a refusal has seen the device since the loss.
func LookedAt(r ndp.Responder) bool {
	responder := r.(*Responder)
	responder.mu.Lock()
	defer responder.mu.Unlock()
	for _, f := range responder.refusals {
		if f.before.known {
			return true
		}
	}
	return false
}

// Eager has it be tried soon whether there is a bpffs by now.
func (o Options) Eager() Options { o.seldom = firstRetry; return o }

// Within has what the responder does by itself done in a network namespace.
func (o Options) Within(do func(func())) Options { o.within = do; return o }

// GiveUp has a change of the program fail.
func GiveUp(r ndp.Responder, why error) {
	responder := r.(*Responder)
	responder.mu.Lock()
	defer responder.mu.Unlock()
	responder.fallBack(why)
}

// DetachLink detaches the program as another process does that has its link.
func DetachLink(r ndp.Responder) error {
	responder := r.(*Responder)
	responder.mu.Lock()
	defer responder.mu.Unlock()
	switch h := responder.fast.hook.(type) {
	case *tcx:
		return h.link.Detach()
	case *xdp:
		return h.link.Detach()
	}
	panic("no link")
}

// Maps returns the maps of the program that answers: the facts, the tables, the sign of
// life, and the table that is in use.
func Maps(r ndp.Responder) (config, lines, life, table *ebpf.Map, slot uint32) {
	responder := r.(*Responder)
	responder.mu.Lock()
	defer responder.mu.Unlock()
	p := responder.fast.program
	slot = p.table.facts.Slot
	return p.objects.Config, p.objects.Lines, p.objects.Life, p.maps.slots[slot][0], slot
}

// XDP returns the program for an XDP hook.
func (p *Program) XDP() *ebpf.Program { return p.of(ndp.WayXDP) }
