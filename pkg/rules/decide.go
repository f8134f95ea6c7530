// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// question is what a method decides: what holds by a rule for the addresses of
// a prefix inside of it.
type question struct {
	store  *Store
	rule   *Rule
	method *method
	prefix netip.Prefix
	routes *bart.Table[fact] // the entries of the kernel that count
	// onLink is the uplink's on-link prefix that covers prefix, the longest one of
	// several; invalid for none.
	onLink netip.Prefix
	// ignoresDAD is true where duplicate address detection is left unanswered for
	// addresses without evidence of their own.
	ignoresDAD bool
}

// finding is what the entries say.
type finding struct {
	answer bool
	probe  bool // the target is asked first
	// silence is the reason without answer and probe.
	silence Silence
	device  int32
	// line is true where an entry is about the very prefix, so that the view
	// needs a line for it.
	line bool
	// part is true where that line only repeats what the wider one says to those
	// who ask, see [Verdict.Part].
	part bool
	// own is true where that is evidence of our own side for one address, which
	// outweighs what another station claims.
	own bool
	// host is true where the host itself takes the packets.
	host bool
	// contested is [Verdict.Contested].
	contested bool
	// leaving is [Entry.Leaving], chosen [Entry.Chosen], unconfirmed [Entry.Unconfirmed].
	leaving, chosen, unconfirmed bool
}

// decision makes a finding of a source's entries. It depends on nothing but the
// rule, the most specific entry of each of the method's sources, and whether
// that is about the very prefix.
type decision func(question) finding

// everything answers without evidence. Where that leaves duplicate address detection
// to others, addresses with a host route behind us have lines of their own, which
// defend them.
func everything(q question) finding {
	f := finding{answer: true}
	if q.ignoresDAD && q.rule.DAD == DADAuto && q.prefix.IsSingleIP() {
		e, ok := q.routes.Get(q.prefix)
		f.line = ok && (e.is(behind) || e.is(host))
		f.part = f.line
	}
	return f
}

// nothing never answers.
func nothing(q question) finding { return finding{silence: q.method.silence} }

// allocated answers for addresses that the method's only source has, and says
// are this node's to answer.
func allocated(q question) finding {
	e, ok := q.store.entries[q.method.sources[0]].Get(q.prefix)
	switch {
	case !ok:
		return finding{silence: q.method.silence}
	case e.is(nodeAddress):
		return finding{silence: NodeAddress, line: true}
	case !q.rule.Kinds.Has(e.kinds):
		return finding{silence: OtherKind, line: true}
	case !e.is(behind):
		return finding{silence: q.method.elsewhere, line: true}
	}
	return finding{answer: true, line: true, leaving: e.is(leaving), chosen: e.is(chosen), unconfirmed: e.is(unconfirmed)}
}

// listed answers for what the rule's file of targets lists inside of the rule. A
// line that covers more than the rule does not count: it was meant for another
// rule, or is the beginning of a longer one.
func listed(q question) finding {
	for at, e := range q.store.entries[Listed].Supernets(q.prefix) {
		if at.Bits() < q.rule.Prefix.Bits() {
			break
		}
		if q.store.lists.has(e.list, q.rule.Targets) {
			line := at == q.prefix
			return finding{answer: true, line: line, own: line && at.IsSingleIP()}
		}
	}
	return finding{silence: q.method.silence}
}

// routed answers for what the kernel routes to a device behind us, or to this host
// itself. Of the latter, another station's claim has the last word: a server behind
// a load balancer has the service's address, too.
func routed(q question) finding {
	at, e, ok := q.route()
	f := finding{line: ok && at == q.prefix}
	switch {
	case ok && q.counts(e):
		f.answer, f.device, f.host = true, e.device, e.is(host)
		f.own = f.line && at.IsSingleIP() && !e.is(host)
		if q.isWide(at) || e.is(host) && q.isAmidLink(at) && !q.setAside() {
			q.contest(&f, e)
		}
	case ok && e.is(host):
		f.silence = OwnAddress
	default:
		f.silence = q.method.silence
	}
	return f
}

// counts reports whether a route is evidence for the rule: where the rule names
// devices, what is routed to these and nothing else.
func (q question) counts(e fact) bool {
	named := len(q.rule.Devices) > 0
	switch {
	case named && !q.store.names(q.rule, e.device), q.rule.OwnOnly && !e.is(host):
		return false
	case e.is(host):
		return !q.rule.IgnoreOwn && (named || !e.is(hidden))
	case named:
		return e.is(forwarded)
	}
	return e.is(behind)
}

// asked lets a target be asked first where that can be: where it is a neighbor
// on the device that the route leads to, and on the devices that the rule names.
// What is routed to one of those and is no neighbor there is answered for, and what
// the host itself has, which cannot be asked.
func asked(q question) finding {
	at, e, ok := q.route()
	named := finding{probe: true, line: ok && at == q.prefix, part: true, contested: q.onLink.IsValid() && !q.setAside()}
	if len(q.rule.Devices) > 0 && (!ok || e.is(neighbor) || !q.counts(e)) {
		return named
	}
	f := routed(q)
	switch {
	case f.answer && e.is(neighbor):
		f.answer, f.probe = false, true
	case f.silence == Shared && len(q.rule.Devices) > 0: // it may be on another one of them
		return named
	}
	return f
}

// local answers for what the sources beside the kernel say is this node's. The
// kernel may know better: an address has moved when its route leads elsewhere,
// and may have a route before the source hears of it. A route as wide as the node's
// prefix says that the prefix is another node's if it leads to one; else it only says
// how the plugin reaches the node's own pods, if at all. What leads to another node in
// a wider prefix than the node's, or in the uplink's on-link prefix, says nothing of
// the node's part.
func local(q question) finding {
	var (
		is, line bool
		hearsay  bool // nothing but unconfirmed entries say so
		given    = -1 // the length of the prefix that a wide source has
		p        = q.prefix
	)
	at, route, ok := q.route()
	here := ok && route.is(behind) && !route.is(elsewhere) && !q.isWide(at)
	for _, s := range q.method.sources {
		if s == Kernel {
			continue
		}
		if !sources()[s].wide {
			if e, ok := q.store.entries[s].Get(p); ok && !e.is(behind) { // whoever has it is on another node
				return finding{silence: q.method.silence, line: true}
			} else if ok {
				is, line, hearsay = is || here || !e.is(additional), true, e.is(unconfirmed)
			}
			continue
		}
		if at, _, ok := q.store.entries[s].LookupPrefixLPM(p); ok {
			given, is, line = max(given, at.Bits()), true, line || at == p
		}
	}
	f := finding{answer: is, line: line, own: line && p.IsSingleIP(), unconfirmed: hearsay}
	switch {
	case !ok, q.isWide(at), at.Bits() < given:
	case !route.is(elsewhere) && (at.Bits() == given || given < 0 && at != p):
	case !route.is(behind) || route.is(elsewhere):
		f.line = line || is && at == p
		f.answer = false
	case at == p && p.IsSingleIP() && route.is(attached) && (is || !q.store.held(route)):
		f = finding{answer: true, line: true, own: true, device: route.device}
	case is:
		f.line = line || at == p
		f.device, f.own = route.device, f.line && p.IsSingleIP()
		f.unconfirmed = f.unconfirmed && at != p // the kernel's route confirms it
	}
	if !f.answer {
		f.silence, f.own = q.method.silence, false
	}
	return f
}

// route returns the kernel's most specific route for the prefix, and false where
// there is none.
func (q question) route() (at netip.Prefix, e fact, ok bool) {
	return q.routes.LookupPrefixLPM(q.prefix)
}
