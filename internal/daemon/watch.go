// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"
)

// watchInterval is how often the records of the hot path are fetched for those
// who watch. The hot path does not know of them.
const watchInterval = 100 * time.Millisecond

// serveWatch sends what becomes of solicitations as lines of JSON, until the
// client goes.
func (d *daemon) serveWatch(w http.ResponseWriter, r *http.Request) {
	f := WatchFilter{Reason: r.FormValue("reason"), Interface: r.FormValue("interface")}
	if s := r.FormValue("prefix"); s != "" {
		var err error
		if f.Prefix, err = netip.ParsePrefix(s); err != nil {
			http.Error(w, fmt.Sprintf("prefix: %v", err), http.StatusBadRequest)
			return
		}
	}
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	next := make(map[*uplink]uint64)
	d.supervisor.look(func(u *uplink) { next[u] = u.recent.Next() })
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	encoder := json.NewEncoder(w)
	for {
		if err := control.SetWriteDeadline(time.Now().Add(httpTimeout)); err != nil {
			return
		}
		if control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
		for _, e := range d.watched(next, f) {
			if encoder.Encode(e) != nil {
				return
			}
		}
	}
}

// watched returns what came since the numbers in next, and moves them on.
func (d *daemon) watched(next map[*uplink]uint64, f WatchFilter) []WatchEvent {
	var events []WatchEvent
	d.supervisor.look(func(u *uplink) {
		records, number, missed := u.recent.Since(next[u])
		next[u] = number
		if missed > 0 {
			events = append(events, WatchEvent{Missed: missed})
		}
		for _, r := range records {
			if s := u.record(r); f.Matches(s) {
				events = append(events, WatchEvent{Solicitation: &s})
			}
		}
	})
	return events
}
