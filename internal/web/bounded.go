// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"sync"
	"time"
)

// bounds are how many requests for a page are answered at a time: of a group of
// clients, and of one client that is not an insider.
type bounds struct{ ofGroup, ofClient int }

// bounded answers no more than so many requests for a page at a time, each within
// a timeout, and says 503 at once to any more. A request whose answer comes too
// late counts until the answer is there, so what hangs does not add up.
func bounded(b bounds, timeout time.Duration, h http.Handler) http.Handler {
	var (
		mu       sync.Mutex
		ofGroup  [groups]int
		ofClient = make(map[client]int)
	)
	enter := func(c client, g group) bool {
		mu.Lock()
		defer mu.Unlock()
		if ofGroup[g] >= b.ofGroup || g != insiders && ofClient[c] >= b.ofClient {
			return false
		}
		ofGroup[g]++
		ofClient[c]++
		return true
	}
	leave := func(c client, g group) {
		mu.Lock()
		defer mu.Unlock()
		ofGroup[g]--
		if ofClient[c]--; ofClient[c] == 0 {
			delete(ofClient, c)
		}
	}
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var who client
		var g group
		if c := connectionOf(r); c != nil {
			who, g = c.who()
		}
		if !enter(who, g) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests for this page are being answered", http.StatusServiceUnavailable)
			return
		}
		defer leave(who, g)
		h.ServeHTTP(w, r)
	})
	return http.TimeoutHandler(limited, timeout, "the daemon takes too long for this page")
}
