// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// reviewLogInterval is how often at most it is logged that a token could not be
// reviewed. Anybody can send tokens.
const reviewLogInterval = time.Minute

// reviewed lets only those through whom the reviewer allows to read the page. Who
// is refused also loses the connection, and keeps none from others.
func (s *Server) reviewed(h http.Handler) http.Handler {
	var logged atomic.Int64 // when a failure was last logged, in nanoseconds since 1970
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(code int, why string) {
			w.Header().Set("Connection", "close")
			http.Error(w, why, code)
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(http.StatusUnauthorized, "send the bearer token of an account that may get the non-resource URL "+r.URL.Path)
			return
		}
		reviewer := s.reviewer.Load()
		if reviewer == nil { // a reload is about to take the page away
			refuse(http.StatusServiceUnavailable, "there is no API server to review the token")
			return
		}
		allowed, err := (*reviewer).Allowed(r.Context(), token, r.URL.Path)
		switch {
		case err != nil:
			now := time.Now().UnixNano()
			if last := logged.Load(); now-last >= int64(reviewLogInterval) && logged.CompareAndSwap(last, now) {
				s.options.Log.Warn("reviewing a token failed", "err", err)
			}
			refuse(http.StatusServiceUnavailable, "the token cannot be reviewed now")
		case !allowed:
			refuse(http.StatusForbidden, "the token is not one of an account that may get the non-resource URL "+r.URL.Path)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
