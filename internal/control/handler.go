// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

const (
	// answerTimeout bounds how long the daemon may take for an answer. What it
	// is made of is read from snapshots, so an answer takes microseconds.
	answerTimeout = 5 * time.Second
	// maxAnswers bounds the answers that are made at a time, so that those that
	// never come do not add up.
	maxAnswers = 16
)

// Daemon is what answers the requests. Its methods are called by several
// goroutines at once.
type Daemon interface {
	// Status returns the daemon's status. It should return when ctx ends.
	Status(ctx context.Context) status.Status
	// Explain returns what the daemon does with a solicitation for an address.
	// It should return when ctx ends.
	Explain(ctx context.Context, target netip.Addr) status.Explanation
	// Feeds returns the solicitations of each uplink that there is now. It must
	// not block.
	Feeds() []Feed
}

// Feed is where the last solicitations of an uplink are.
type Feed struct {
	Interface string
	Recent    *ndp.Recent
}

// newHandler returns the pages of the control socket.
func newHandler(d Daemon) http.Handler {
	answers := make(chan struct{}, maxAnswers)
	mux := http.NewServeMux()
	answer := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, http.TimeoutHandler(limit(answers, h), answerTimeout, "the daemon takes too long for an answer"))
	}
	answer("GET /status", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, d.Status(r.Context())) })
	answer("GET /explain/{address}", func(w http.ResponseWriter, r *http.Request) {
		target, err := netip.ParseAddr(r.PathValue("address"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, d.Explain(r.Context(), target))
	})
	mux.HandleFunc("GET /watch", func(w http.ResponseWriter, r *http.Request) { serveWatch(w, r, d) })
	return mux
}

// limit refuses a request while as many answers are being made as slots has room
// for. An answer that comes too late keeps its slot until it is there.
func limit(slots chan struct{}, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h(w, r)
		default:
			http.Error(w, "the daemon makes as many answers as it can", http.StatusServiceUnavailable)
		}
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
