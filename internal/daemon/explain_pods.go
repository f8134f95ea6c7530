// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// decisive returns the evidence by which a rule decides for a target, nil where there is
// none to show. What the cluster says of pods and prefixes decides by itself where the
// kernel's routes say nothing of the target, and then no route is shown.
func (d *daemon) decisive(uplink string, target netip.Addr, r rules.Rule, v rules.Verdict) *status.Entry {
	if v.Answer && v.Device == 0 {
		if known, source, ok := d.given(target, r); ok {
			return &status.Entry{Source: source.String(), Prefix: known.Prefix.String(), Since: &known.Since}
		}
	}
	return d.entry(uplink, target, r)
}

// given returns what the cluster says of a target: which pod has it, or else which prefix
// of this node, and false where a rule asks for neither or there is none.
func (d *daemon) given(target netip.Addr, r rules.Rule) (known rules.Entry, source rules.Source, ok bool) {
	for _, source := range []rules.Source{rules.PodAddresses, rules.NodePrefixes} {
		if !r.Method.Asks(source) {
			continue
		}
		if known, ok := d.store.Entry(source, target); ok {
			return known, source, true
		}
	}
	return rules.Entry{}, 0, false
}

// movedAway says why a target that the cluster gives to this node is not answered for, ""
// where it gives it to nobody here.
func (d *daemon) movedAway(target netip.Addr, r rules.Rule, route *status.Entry) string {
	_, source, ok := d.given(target, r)
	if !ok || route == nil || route.Route == "" {
		return ""
	}
	what := "a prefix of this node covers the address"
	if source == rules.PodAddresses {
		what = "a pod of this node has the address"
	}
	if route.Why != "" {
		return what + ", but the kernel has another way to it: " + route.Why
	}
	return what + ", but the kernel routes it to a next hop, as it does with the pods of other nodes"
}

// answersBefore says that Cilium answers for a target itself, "" where it does not. Its
// program on the uplink answers for the pods of its node, and hands no solicitation for
// them on.
func (d *daemon) answersBefore(uplink rules.Uplink, target netip.Addr, r rules.Rule) string {
	if d.routes.Index(hostwatch.CiliumHost) == 0 {
		return ""
	}
	_, pod := d.store.Entry(rules.PodAddresses, target)
	if route, ok := d.store.Route(uplink.Interface, &r, target); ok && route.Prefix.IsSingleIP() {
		pod = pod || strings.HasPrefix(d.routes.Name(route.Device), "lxc")
	}
	switch {
	case !pod:
		return ""
	case uplink.Early:
		return "Cilium answers for the pods of this node itself, with the same MAC address, so the asker gets two answers"
	}
	return "Cilium answers for the pods of this node itself, with the same MAC address, as a rule before ndproxyd hears of the solicitation: then this answer does not leave, and \"last asked\" stays empty"
}
