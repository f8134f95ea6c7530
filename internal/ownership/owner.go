// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"fmt"
	"net/netip"
)

// AskOwner returns the questions for an address to another node that owns it, on each of
// that node's links; none where this node or nobody owns it, or the owner is silent.
func (e *Election) AskOwner(s netip.Addr) []Ask {
	a := e.addresses[s]
	if a == nil {
		return nil
	}
	p := e.peers[a.owner]
	if p == nil || !p.live() {
		return nil
	}
	return p.asks(s)
}

// NodeOf returns the node of the announcer with a link-layer address, "" for none.
func (e *Election) NodeOf(m MAC) string {
	if p := e.peerOf(m); p != nil {
		return p.Node
	}
	return ""
}

// Identity tells one process of an announcer, and what it says of its share, from the
// next: it changes when the announcer with a link-layer address may have begun to count
// on something else. "" is for none.
func (e *Election) Identity(m MAC) string {
	p := e.peerOf(m)
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s %s %t %t", p.Node, p.Holder, p.Settled, p.Joining)
}
