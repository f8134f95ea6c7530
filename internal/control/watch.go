// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// watchInterval is how often the records of the hot path are read for those who
// watch. The hot path does not know of them.
const watchInterval = 100 * time.Millisecond

// serveWatch sends what becomes of solicitations as lines of JSON, until the
// client goes.
func serveWatch(w http.ResponseWriter, r *http.Request, d Daemon) {
	filter := status.WatchFilter{Reason: r.FormValue("reason"), Interface: r.FormValue("interface")}
	if s := r.FormValue("prefix"); s != "" {
		var err error
		if filter.Prefix, err = netip.ParsePrefix(s); err != nil {
			http.Error(w, fmt.Sprintf("prefix: %v", err), http.StatusBadRequest)
			return
		}
	}
	control := http.NewResponseController(w)
	// The deadline for the request would end the watch.
	if control.SetReadDeadline(time.Time{}) != nil {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	reader := make(feedReader)
	reader.begin(d.Feeds())
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	encoder := json.NewEncoder(w)
	for {
		if control.SetWriteDeadline(time.Now().Add(exchangeTimeout)) != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
		for _, e := range reader.read(d.Feeds(), filter) {
			if encoder.Encode(e) != nil {
				return
			}
		}
	}
}

// feedReader holds the number of the record to go on with, by feed.
type feedReader map[*ndp.Recent]uint64

// begin skips what the feeds have so far. A feed that comes later is read from
// its beginning.
func (r feedReader) begin(feeds []Feed) {
	for _, f := range feeds {
		r[f.Recent] = f.Recent.Next()
	}
}

// read returns what the feeds have since the last call, and forgets the feeds
// that are gone.
func (r feedReader) read(feeds []Feed, filter status.WatchFilter) []status.WatchEvent {
	var events []status.WatchEvent
	here := make(map[*ndp.Recent]bool, len(feeds))
	for _, f := range feeds {
		here[f.Recent] = true
		records, next, missed := f.Recent.Since(r[f.Recent])
		r[f.Recent] = next
		if missed > 0 {
			events = append(events, status.WatchEvent{Missed: missed})
		}
		for _, record := range records {
			if s := status.FromRecord(f.Interface, record); filter.Matches(s) {
				events = append(events, status.WatchEvent{Solicitation: &s})
			}
		}
	}
	for recent := range r {
		if !here[recent] {
			delete(r, recent)
		}
	}
	return events
}
