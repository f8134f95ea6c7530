// SPDX-License-Identifier: Apache-2.0

package ownership

import "net/netip"

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
