// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// handoversEvery is how often changes of owners are reported at most: a node that
// dies moves many addresses within a moment.
const handoversEvery = 5 * time.Second

// handovers gathers the addresses that went to this node or left it, to report
// many of them at once.
type handovers struct {
	taken, given map[string][]netip.Addr // by the other node
	reported     time.Time
}

// add takes a change of owners in.
func (h *handovers) add(c ownership.Change, self string) {
	switch self {
	case c.Owner:
		if h.taken == nil {
			h.taken = make(map[string][]netip.Addr)
		}
		h.taken[c.Before] = append(h.taken[c.Before], c.Address)
	case c.Before:
		if h.given == nil {
			h.given = make(map[string][]netip.Addr)
		}
		h.given[c.Owner] = append(h.given[c.Owner], c.Address)
	}
}

// flush reports what there is in the log, and what was taken as Events.
func (h *handovers) flush(log *slog.Logger, emit func(k8swatch.Event, ...netip.Addr), now time.Time) {
	if len(h.taken)+len(h.given) == 0 || now.Sub(h.reported) < handoversEvery {
		return
	}
	h.reported = now
	for node, addresses := range h.taken {
		log.Info("took service addresses over", "from", node, "count", len(addresses), "like", addresses[0])
		emit(k8swatch.Event{
			Reason:  "ServiceAddressesTakenOver",
			Message: fmt.Sprintf("Took %d service addresses over from node %s, such as %s.", len(addresses), node, addresses[0]),
		}, addresses...)
	}
	for node, addresses := range h.given {
		log.Info("left service addresses to another node", "to", node, "count", len(addresses), "like", addresses[0])
	}
	h.taken, h.given = nil, nil
}
