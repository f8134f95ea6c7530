// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Judge decides whether routes lead behind this node. Its methods ask the tables that
// the kernel asks for packets from the first of the uplinks; [Judge.From] is for
// others.
type Judge struct {
	routes *hostwatch.Routes
	known  *known
	// choose takes the lookup that counts, nil for the default one.
	choose func(hostwatch.Tables) hostwatch.Tables
}

// known is what the Judge was told of.
type known struct {
	policy  atomic.Pointer[inForce]
	uplinks atomic.Pointer[uplinks]
	origins atomic.Pointer[origins]
}

// inForce is a policy with what it is made of. It never changes.
type inForce struct {
	*policy
	node     bool
	settings []rules.DeviceSetting
}

// uplinks are the devices that solicitations arrive on. They never change.
type uplinks struct {
	names   []string
	indices map[int32]bool
}

// New returns a Judge of these routes. It knows no uplink yet, and takes the host
// for one that is no node of a cluster.
func New(routes *hostwatch.Routes) *Judge {
	j := &Judge{routes: routes, known: new(known)}
	j.known.policy.Store(&inForce{policy: hostPolicy()})
	j.known.uplinks.Store(new(uplinks))
	j.known.origins.Store(new(origins))
	return j
}

// SetPolicy tells whether the host is a node of a cluster, which it is as well where
// it has a device of a network plugin, and what the operator says of its devices. It
// reports whether that makes a difference to the last call: then any entry may have
// changed.
func (j *Judge) SetPolicy(node bool, settings []rules.DeviceSetting) (changed bool) {
	if !node {
		j.routes.Read(func(t hostwatch.Tables) { node = isNode(t) })
	}
	last := j.known.policy.Load()
	if last.node == node && slices.Equal(last.settings, settings) {
		return false
	}
	next := &inForce{policy: hostPolicy(), node: node, settings: slices.Clone(settings)}
	if node {
		next.policy = clusterPolicy()
	}
	next.override(settings)
	j.known.policy.Store(next)
	return true
}

// SetUplinks names the devices that solicitations arrive on, by their indices;
// 0 is left out. A device that takes one of the names later is an uplink from its
// first route on, without another call. It reports whether they differ from the
// last ones: then any entry may have changed.
func (j *Judge) SetUplinks(indices []int, names ...string) (changed bool) {
	next := &uplinks{names: slices.Clone(names), indices: make(map[int32]bool, len(indices))}
	for _, i := range indices {
		if i != 0 {
			next.indices[int32(i)] = true //nolint:gosec // the kernel's int
		}
	}
	last := j.known.uplinks.Swap(next)
	return !maps.Equal(last.indices, next.indices) || !slices.Equal(last.names, next.names)
}

// now returns the indices of the uplinks as the tables have them.
func (u *uplinks) now(t hostwatch.Tables) map[int32]bool {
	indices := u.indices
	for _, name := range u.names {
		index := t.Index(name)
		if index == 0 || indices[index] {
			continue
		}
		if indices = maps.Clone(indices); indices == nil {
			indices = make(map[int32]bool)
		}
		indices[index] = true
	}
	return indices
}

// read calls f with the judgment of this moment. f must not wait, and must not
// call methods of the Judge or of its routes.
func (j *Judge) read(f func(judgment)) {
	j.routes.Read(func(t hostwatch.Tables) {
		if j.choose != nil {
			t = j.choose(t)
		}
		f(newJudgment(t, j.known.policy.Load().policy, j.known.uplinks.Load().now(t)))
	})
}

// Entry returns the entry for exactly this prefix, and false when the kernel has
// no route for it, or hides it behind one of an earlier table.
func (j *Judge) Entry(p netip.Prefix) (e rules.Entry, ok bool) {
	j.read(func(v judgment) {
		var d hostwatch.Decision
		if d, ok = v.tables.Decide(p); ok && d.At == p {
			e = v.entry(d)
		} else {
			ok = false
		}
	})
	return e, ok
}

// All yields the entries of all routes, in no order. The routes stand still
// meanwhile: the loop's body must not wait, and must not ask the Judge.
func (j *Judge) All() iter.Seq[rules.Entry] {
	return func(yield func(rules.Entry) bool) {
		j.read(func(v judgment) {
			for d := range v.tables.Decisions() {
				if !yield(v.entry(d)) {
					return
				}
			}
		})
	}
}

// LeadsBack reports whether packets for the prefix as a whole go back to the link
// of an uplink, or have no way at all.
func (j *Judge) LeadsBack(p netip.Prefix) (back bool) {
	j.read(func(v judgment) {
		d, ok := v.tables.Decide(p)
		back = !ok || v.anyBack(v.taken(d.Paths))
	})
	return back
}

// LeadsBehind reports whether any address of the prefix is behind this node, or one
// of its own that no kernel answers for.
func (j *Judge) LeadsBehind(p netip.Prefix) (behind bool) {
	j.read(func(v judgment) {
		counts := func(d hostwatch.Decision) bool {
			e := v.entry(d)
			return e.Behind || e.Host && !e.Hidden
		}
		if d, ok := v.tables.Decide(p); ok && counts(d) {
			behind = true
			return
		}
		for d := range v.tables.Within(p) {
			if counts(d) {
				behind = true
				return
			}
		}
	})
	return behind
}

// WhyNotDevice tells why what is on-link on a device is not behind this node, for
// example "through an uplink"; it is "" where it is behind.
func (j *Judge) WhyNotDevice(index int32) (why string) {
	j.read(func(v judgment) { _, why = v.judgeDevice(index, false) })
	return why
}

// SharesLink reports whether a device is on the link of the uplink of that name, where
// stations answer for themselves, and whether it is the uplink itself. The name "" is
// for any uplink: then only a device that is none of them is on the link of one.
func (j *Judge) SharesLink(uplink string, index int32) (same, own bool) {
	j.routes.Read(func(t hostwatch.Tables) {
		uplinks := map[int32]bool{}
		if u := t.Index(uplink); u != 0 {
			uplinks[u] = true
		} else if uplink == "" {
			uplinks = j.known.uplinks.Load().now(t)
		}
		if uplinks[index] {
			same, own = uplink != "", uplink != ""
			return
		}
		d, ok := t.Device(index)
		same = ok && newJudgment(t, j.known.policy.Load().policy, uplinks).onUplinkLink(d)
	})
	return same, own
}

// OnLink returns the global prefixes that routes make on-link on a device, in
// order. For an uplink they are what other stations of its link may have, so a
// route counts for a discovered rule only when it is more specific.
func (j *Judge) OnLink(index int) []netip.Prefix { return j.routes.HopsOf(index).OnLink }
