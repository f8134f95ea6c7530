// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// fastPath returns which way solicitations are answered on an uplink, nil while they
// are not.
func fastPath(f *uplink.Facts) *status.FastPath {
	p := f.Path
	if p.Since.IsZero() {
		return nil
	}
	return &status.FastPath{
		Setting: f.Config.FastPath.String(), Way: p.Way.String(), Hook: p.Hook, Since: p.Since, Why: p.Why, Again: p.Again, FellBack: f.FellBack(),
		Pinned: p.Pinned, Unpinned: p.Unpinned, Left: p.Left, Lines: p.Lines, Inherited: p.Inherited,
	}
}

// answerer returns who answers solicitations for an address with a verdict and a
// reason, nil for nobody.
func answerer(f *uplink.Facts, v rules.Verdict, reason ndp.Reason) *status.Answerer {
	p := f.Path
	switch {
	case p.Since.IsZero():
	case reason == ndp.Answered && p.Way == ndp.WaySocket && f.Config.FastPath == rules.FastPathAuto:
		return &status.Answerer{Way: p.Way.String()} // status has the reason, for who looks for it
	case reason == ndp.Answered && p.Way == ndp.WaySocket:
		return &status.Answerer{Way: p.Way.String(), Why: p.Why}
	case reason == ndp.Answered:
		return &status.Answerer{Way: p.Way.String(), Hook: p.Hook, Left: left(f.Config, v)}
	case reason == ndp.Probing && p.Way != ndp.WaySocket:
		return &status.Answerer{Way: ndp.WaySocket.String(), Why: "the address is asked for first, which the program in the kernel (" + p.Way.String() + ") leaves to it"}
	}
	return nil
}

// left returns the solicitations for an address which a program in the kernel answers
// that it leaves to the packet socket nevertheless.
func left(u rules.Uplink, v rules.Verdict) []string {
	all := []string{"duplicate address detection"}
	if v.Delay > 0 { // RFC 4861 §7.2.8: only multicast ones need spreading
		all = append(all, "multicast solicitations: the rule has a delay of up to "+v.Delay.String())
	}
	if len(u.IgnoreSources) > 0 {
		all = append(all, "askers in ignore_sources, which get no answer")
	}
	if u.RequireOnLinkSource {
		all = append(all, "askers outside of the uplink's prefixes, which get no answer (require_onlink_source)")
	}
	return all
}
