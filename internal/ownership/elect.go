// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"slices"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// electIf decides anew if something has changed.
func (e *Election) electIf(changed bool) {
	if changed {
		e.electAll()
	}
}

// electAll decides anew for every address. Before we take part there is nothing
// to decide.
func (e *Election) electAll() {
	if !e.begun {
		return
	}
	for s, a := range e.addresses {
		e.reelect(s, a)
	}
}

func (e *Election) reelect(s netip.Addr, a *address) {
	owner, backup := e.elect(s, a)
	if a.leftTo != "" {
		if p := e.peers[a.leftTo]; owner == e.self.Node && p != nil && p.live() {
			owner, backup = a.leftTo, e.self.Node
		} else { // it is explained, or nobody is left to leave it to
			a.leftTo = ""
			delete(e.left, s)
		}
	}
	e.assign(s, a, owner, backup, false)
}

// elect returns who is first and second in line for an address.
func (e *Election) elect(s netip.Addr, a *address) (owner, backup string) {
	if e.mode != rules.OwnershipHash || e.alone {
		if covered, _ := e.self.covers(s); covered && e.phase == member && a.takes(e.self.Node) && (e.alone || e.self.Excluded == "") {
			return e.self.Node, ""
		}
		return "", ""
	}
	var first, second rank
	consider := func(c *Announcer) {
		if !a.takes(c.Node) {
			return
		}
		r, ok := c.rank(s)
		switch {
		case !ok:
		case first.node == "" || r.better(first):
			first, second = r, first
		case second.node == "" || r.better(second):
			second = r
		}
	}
	if e.phase == member {
		consider(e.ranked())
	}
	for _, p := range e.peers {
		if p.live() {
			consider(&p.Announcer)
		}
	}
	return first.node, second.node
}

// ranked is what we rank ourselves by. Others rank us by our lease, so that a
// reason to go last, or another share, counts when they have read it: else nobody
// would be first while the API server is away.
func (e *Election) ranked() *Announcer {
	if e.published.Holder != e.self.Holder {
		return &e.self
	}
	e.ranks = e.self
	e.ranks.Excluded, e.ranks.Cordoned, e.ranks.Weight = e.published.Excluded, e.published.Cordoned, e.published.Weight
	return &e.ranks
}

// takes reports whether a node takes traffic for the address.
func (a *address) takes(node string) bool {
	if !a.local {
		return true
	}
	_, found := slices.BinarySearch(a.nodes, node)
	return found
}

func (e *Election) assign(s netip.Addr, a *address, owner, backup string, fresh bool) {
	if !fresh && owner == a.owner && backup == a.backup {
		return
	}
	ours := e.hold(s, a, owner, fresh) || owner == e.self.Node && owner != ""
	e.changes = append(e.changes, Change{Address: s, Ours: ours, Owner: owner, Backup: backup, Before: a.owner})
	if !fresh {
		e.count(a, -1)
	}
	a.owner, a.backup = owner, backup
	e.count(a, 1)
}

// count counts the address for its owner and its backup.
func (e *Election) count(a *address, n int) {
	add(e.owns, a.owner, n)
	add(e.stands, a.owner, n)
	add(e.stands, a.backup, n)
}

// add adds to a number that is not kept when it is 0.
func add(m map[string]int, node string, n int) {
	if node == "" {
		return
	}
	if m[node] += n; m[node] == 0 {
		delete(m, node)
	}
}
