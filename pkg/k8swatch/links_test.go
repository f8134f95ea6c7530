// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAwaitLinks starts on links of each kind, some of which are known a second later. Who
// follows the leases of all makes every node take one that is by itself.
func TestAwaitLinks(t *testing.T) {
	t.Parallel()
	known := Links{Names: []string{"a"}}
	tests := []struct {
		name        string
		first, then Links
		want        time.Duration
	}{
		{"known", known, known, 0},
		{"on any link", Links{Unknown: true}, known, 0},
		{"no link yet", Links{}, known, time.Second},
		{"no on-link prefix yet", Links{Unknown: true, Early: true}, known, time.Second},
		{"no link, then no on-link prefix", Links{}, Links{Unknown: true, Early: true}, linksTime},
		{"no on-link prefix at all", Links{Unknown: true, Early: true}, Links{Unknown: true, Early: true}, linksTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var links atomic.Pointer[Links]
				links.Store(&tt.first)
				w := New(nil, Config{Node: "n0", Log: slog.New(slog.DiscardHandler)}, Handler{Links: func() Links { return *links.Load() }})
				time.AfterFunc(time.Second, func() {
					links.Store(&tt.then)
					w.LinksChanged()
				})
				begin := time.Now()
				if w.awaitLinks(t.Context()); time.Since(begin) != tt.want {
					t.Errorf("the start waits %s, want %s", time.Since(begin), tt.want)
				}
				time.Sleep(linksTime) // until the timer has fired
			})
		})
	}
}
