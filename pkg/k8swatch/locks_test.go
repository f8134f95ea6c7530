// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// within fails the test if f takes long.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s blocks", what)
	}
}

// TestNeverBlock calls what a handler may call: with the watcher's lock held, and
// while nobody reads what is queued.
func TestNeverBlock(t *testing.T) {
	t.Parallel()
	w := newFollower(t, "").Watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tt := range []struct {
		name string
		do   func()
	}{{"Emit", func() { w.Emit(Event{}) }}, {"Renew", w.Renew}, {"Announce", w.Announce}, {"Withdraw", w.Withdraw}, {"LinksChanged", w.LinksChanged}, {"Call", func() { w.Call("n2", true) }}} {
		within(t, tt.name, func() {
			for range 10 * eventsWaiting {
				tt.do()
			}
		})
	}
}

// TestForbiddenUnlocked has the handler of a missing permission look at the sources.
func TestForbiddenUnlocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		called := 0
		var w *Watcher
		w = New(nil, Config{Node: "n1", Log: slog.New(slog.DiscardHandler)}, Handler{Forbidden: func(string, bool) {
			called++
			w.services.health.get()
			w.Status()
		}})
		err := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
		for range 3 {
			within(t, "a forbidden request", func() { w.services.health.result(err, false) })
			time.Sleep(ForbiddenFor)
		}
		if called != 1 || !w.services.health.get().NoPermission {
			t.Errorf("%d calls, status %+v", called, w.services.health.get())
		}
	})
}

// TestSnapshotUnlocked has the server change what is kept while the snapshot is
// written.
func TestSnapshotUnlocked(t *testing.T) {
	t.Parallel()
	f := newFollower(t, filepath.Join(t.TempDir(), "state.json"))
	must(t, f.Watcher.pods.Replace(podList(0, 100), ""))
	ctx, cancel := context.WithCancel(t.Context())
	wrote := make(chan error)
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			err = f.archive.write()
		}
		wrote <- err
	}()
	for i := range 2000 {
		must(t, f.Watcher.pods.Add(pod(i%200)))
	}
	cancel()
	must(t, <-wrote)
	s, err := readSnapshot(f.config.Snapshot)
	must(t, err)
	must(t, f.Watcher.pods.load(s.Objects["pods"], s.Saved))
	if f.pods[netip.MustParseAddr("2001:db8::1")].Name != "p0" {
		t.Errorf("the snapshot has %s", s.Objects["pods"])
	}
}
