// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// seats are those of the nodes with a lease, by the node's name.
type seats map[string]seat

// seat is a place among the announcers.
type seat struct {
	ownership.Seat
	written int64     // when its lease was renewed, by the clock of its node
	renewed time.Time // when that was seen, by ours
	// alive is true from the first renewal on that was seen to happen: the lease
	// of a node that is gone stays in lists.
	alive bool
}

// renewed takes a lease over, with what its record says.
func (s seats) renewed(l k8swatch.Lease, a ownership.Announcer, now time.Time) {
	a.Node = l.Node // also where its record cannot be read
	was, known := s[l.Node]
	next := seat{Seat: ownership.Seat{Announcer: a, Taken: l.Made}, written: l.Renewed, renewed: now, alive: known && l.Renewed != was.written}
	if known && l.Renewed == was.written {
		next.renewed, next.alive = was.renewed, was.alive
	}
	s[l.Node] = next
}

// but returns the seats of all nodes but one that are seen to renew their leases.
func (s seats) but(node string, now time.Time) (others []ownership.Seat) {
	for name, o := range s {
		if name != node && o.alive && now.Sub(o.renewed) < k8swatch.LeaseTime {
			others = append(others, o.Seat)
		}
	}
	return others
}

// regular reports whether a node has a seat that it would have without a request.
func (s seats) regular(node string, now time.Time) bool {
	o, seated := s[node]
	return seated && !ownership.Redundant(o.Seat, s.but(node, now), 0)
}
