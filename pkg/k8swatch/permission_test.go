// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// everything is what a watcher may need, and what the server has for it.
func everything() (Needs, *fakeServer) {
	s := newFakeServer("pods", "nodes", "services", "endpointslices", "leases", "servicecidrs", "blockaffinities", "ciliumnodes")
	s.objects["nodes"] = []any{object("v1", "Node", "n1", map[string]any{"spec": map[string]any{"podCIDRs": []string{"2001:db8:a::/64"}}})}
	local := map[string]any{"spec": map[string]any{"clusterIPs": []string{"2001:db8::1"}, "clusterIP": "2001:db8::1", "type": "ClusterIP", "internalTrafficPolicy": "Local", "selector": map[string]any{"a": "b"}}}
	s.objects["services"] = []any{object("v1", "Service", "local", local)}
	return Needs{Pods: true, Prefixes: true, Services: true, ServiceCIDRs: true, Leases: true}, s
}

// stateOf returns how a source fares.
func (w *watched) stateOf(source string) SourceStatus {
	w.Helper()
	for _, s := range w.Status() {
		if s.Source == source {
			return s
		}
	}
	w.Fatalf("no source %s in %+v", source, w.Status())
	return SourceStatus{}
}

// TestPermissionOfServer has a server forbid one kind of object, as one does that
// starts, or for good.
func TestPermissionOfServer(t *testing.T) {
	t.Parallel()
	for _, source := range []string{SourcePods, SourceNodes, SourceServices, SourceEndpointSlices, SourceLeases} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			needs, server := everything()
			server.failing[source] = http.StatusForbidden
			watching(t, server, Config{Needs: needs}, func(w *watched) {
				told := func(d time.Duration) string { // of the lease of this node there is another test
					return strings.Trim(regexp.MustCompile("(, )?(own lease|node_addresses) (true|false)").ReplaceAllString(w.after(d), ""), ", ")
				}
				// A server that starts.
				if got := told(20 * time.Second); got != "" {
					t.Errorf("told after 20 s: %s", got)
				}
				if s := w.stateOf(source); !s.Forbidden || s.NoPermission || s.Synced {
					t.Errorf("after 20 s: %+v", s)
				}
				server.set(func() { delete(server.failing, source) })
				if got := told(2 * forbiddenMost); got != "" {
					t.Errorf("told after the server has started: %s", got)
				}
				if s := w.stateOf(source); !s.Synced || s.Fault != "" {
					t.Errorf("after the server has started: %+v", s)
				}
				// Another start, with what is known.
				server.set(func() { server.failing[source] = http.StatusForbidden })
				server.restart()
				if got := told(30 * time.Second); got != "" {
					t.Errorf("told at the second start: %s", got)
				}
				if s := w.stateOf(source); !s.Synced || !s.Forbidden || s.NoPermission {
					t.Errorf("at the second start: %+v", s)
				}
				// It turns out to be for good.
				if got, want := told(ForbiddenFor), source+" true"; got != want {
					t.Errorf("told after a minute and a half: %q, want %q", got, want)
				}
				before := server.asked(source)
				if got := told(10 * time.Minute); got != "" {
					t.Errorf("told again: %s", got)
				}
				if n := server.asked(source) - before; n < 10 || n > 100 {
					t.Errorf("%d requests in ten minutes without the permission", n)
				}
				// Somebody grants the permission.
				server.set(func() { delete(server.failing, source) })
				if got, want := told(2*forbiddenLate), source+" false"; got != want {
					t.Errorf("told after the permission was granted: %q, want %q", got, want)
				}
				if s := w.stateOf(source); !s.Synced || s.Forbidden || s.NoPermission || s.Fault != "" {
					t.Errorf("with the permission: %+v", s)
				}
			})
		})
	}
}

// TestPermissionOfPrefixes has the best source of the node's prefixes forbidden.
func TestPermissionOfPrefixes(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	server.objects["blockaffinities"] = []any{object("projectcalico.org/v3", "BlockAffinity", "b", map[string]any{
		"spec": map[string]any{"node": "n1", "state": "confirmed", "cidr": "2001:db8:b::/122"},
	})}
	server.failing["blockaffinities"] = http.StatusForbidden
	watching(t, server, Config{Needs: needs}, func(w *watched) {
		want := func(when, source string, prefixes int) {
			t.Helper()
			w.record(func() {
				if w.source != source || len(w.prefixes) != prefixes {
					t.Errorf("%s: %v by %q, want %q", when, w.prefixes, w.source, source)
				}
			})
		}
		w.after(30 * time.Second)
		want("while the server starts", "", 0)
		if got := fmt.Sprint(w.Waits()); got != "[prefixes of this node]" {
			t.Errorf("waits for %s", got)
		}
		w.after(ForbiddenFor)
		want("without the permission, which hides a block", FromCalico, 0)
		if got := w.Waits(); got != nil {
			t.Errorf("waits for %s", got)
		}
		server.set(func() { delete(server.failing, "blockaffinities") })
		w.after(2 * forbiddenLate)
		want("with the permission", FromCalico, 1)
		server.set(func() { server.failing["blockaffinities"] = http.StatusForbidden })
		server.restart()
		w.after(10 * time.Minute)
		want("when the permission is lost", FromCalico, 1)
	})
}

// TestPermissionOfOthersBlocks has a server forbid Calico's blocks for a while, of which
// this node has none: what the controller manager gave away is not taken then, either.
func TestPermissionOfOthersBlocks(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	server.objects["blockaffinities"] = []any{object("projectcalico.org/v3", "BlockAffinity", "b", map[string]any{
		"spec": map[string]any{"node": "n2", "state": "confirmed", "cidr": "2001:db8:a::/122"},
	})}
	watching(t, server, Config{Needs: needs}, func(w *watched) {
		for i := range 4 {
			w.after(2 * lookForFirst)
			w.record(func() {
				if len(w.prefixes) > 0 {
					t.Errorf("look %d: %v by %s", i, w.prefixes, w.source)
				}
			})
			server.set(func() { server.failing["blockaffinities"] = http.StatusForbidden })
			server.restart()
			if i > 1 {
				server.set(func() { delete(server.failing, "blockaffinities") })
			}
		}
	})
}

// TestStartBesideOthersBlocks starts beside a server that starts, too: that it forbids
// Calico's blocks for a moment does not mean that there are none.
func TestStartBesideOthersBlocks(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	server.objects["blockaffinities"] = []any{object("projectcalico.org/v3", "BlockAffinity", "b", map[string]any{
		"spec": map[string]any{"node": "n2", "state": "confirmed", "cidr": "2001:db8:a::/122"},
	})}
	server.failing["blockaffinities"] = http.StatusForbidden
	watching(t, server, Config{Needs: needs}, func(w *watched) {
		for i := range 40 {
			w.after(500 * time.Millisecond)
			w.record(func() {
				if len(w.prefixes) > 0 {
					t.Errorf("look %d: %v by %s", i, w.prefixes, w.source)
				}
			})
			if i == 4 {
				server.set(func() { delete(server.failing, "blockaffinities") })
			}
		}
	})
}

// TestPinnedSource asks for no objects but those of the source of prefixes that is pinned,
// and keeps the snapshot fresh without the others.
func TestPinnedSource(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pinned, source string
		asked          []string
	}{
		{"", FromPodCIDRs, []string{"blockaffinities", "ciliumnodes"}},
		{"calico", FromCalico, []string{"blockaffinities"}},
		{"cilium", FromCilium, []string{"ciliumnodes"}},
		{"pod-cidrs", FromPodCIDRs, nil},
	} {
		t.Run(tt.pinned, func(t *testing.T) {
			t.Parallel()
			needs, server := everything()
			config := Config{Needs: needs, PrefixSource: tt.pinned, Snapshot: filepath.Join(t.TempDir(), "state.json")}
			watching(t, server, config, func(w *watched) {
				w.Announce()
				w.after(time.Minute)
				for _, resource := range []string{"blockaffinities", "ciliumnodes"} {
					if asked, want := server.asked(resource) > 0, slices.Contains(tt.asked, resource); asked != want {
						t.Errorf("asked for %s: %t, want %t", resource, asked, want)
					}
				}
				w.record(func() {
					if w.source != tt.source {
						t.Errorf("prefixes by %q, want %q", w.source, tt.source)
					}
				})
				if got := w.Waits(); got != nil {
					t.Errorf("waits for %s", got)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				if !w.archive.heard() {
					t.Error("the snapshot does not count as what the server has")
				}
			})
		})
	}
}

// TestPermissionOfServiceCIDRs has the discovery of rules wait for a server that starts.
func TestPermissionOfServiceCIDRs(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	server.failing["servicecidrs"] = http.StatusForbidden
	watching(t, server, Config{Needs: needs}, func(w *watched) {
		w.after(30 * time.Second)
		if got := fmt.Sprint(w.Waits()); got != "[servicecidrs (forbidden)]" {
			t.Errorf("waits for %s", got)
		}
		w.after(ForbiddenFor)
		if got := w.Waits(); got != nil {
			t.Errorf("waits for %s without the permission", got)
		}
		server.set(func() { delete(server.failing, "servicecidrs") })
		w.after(2 * forbiddenLate)
		if s := w.stateOf("servicecidrs"); !s.Synced {
			t.Errorf("with the permission: %+v", s)
		}
	})
}

// TestPermissionOutlives has the next process go on without a permission at once, and
// with it when it is granted.
func TestPermissionOutlives(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	server.failing["leases"] = http.StatusForbidden
	config := Config{Needs: needs, Snapshot: filepath.Join(t.TempDir(), "state.json")}
	watching(t, server, config, func(w *watched) {
		if got := w.after(2 * ForbiddenFor); got != "leases true, own lease true" && got != "own lease true, leases true" && got != "leases true" {
			t.Errorf("the first process: %q", got)
		}
	})
	server.watches = nil
	watching(t, server, config, func(w *watched) {
		if got := w.after(0); got != "leases true" {
			t.Errorf("the next process: %q", got)
		}
		server.set(func() { delete(server.failing, "leases") })
		if got := w.after(2 * forbiddenLate); got != "leases false" {
			t.Errorf("with the permission: %q", got)
		}
	})
}

// TestPermissionPace repeats forbidden requests.
func TestPermissionPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p permission
		var waits []time.Duration
		for range 4 {
			p.forbid(time.Now())
			wait := p.retry(time.Now())
			waits = append(waits, wait)
			time.Sleep(wait)
		}
		if got := fmt.Sprint(waits); got != "[1s 1s 2s 4s]" {
			t.Errorf("waits %s", got)
		}
		time.Sleep(ForbiddenFor)
		if !p.forbid(time.Now()) || p.forbid(time.Now()) || p.retry(time.Now()) != forbiddenLate {
			t.Errorf("after a minute: %+v", p)
		}
		p.answer()
		if !p.missing || !p.grant() || p.grant() {
			t.Errorf("after it works: %+v", p)
		}
	})
}
