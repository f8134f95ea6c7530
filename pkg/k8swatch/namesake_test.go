// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

// holder returns who has the lease of the node.
func (w *watched) holder() (name string) {
	w.server.set(func() {
		for _, l := range w.server.objects["leases"] {
			name, _ = l.(map[string]any)["spec"].(map[string]any)["holderIdentity"].(string)
		}
	})
	return name
}

// lastRenewal returns what became of the last one.
func (w *watched) lastRenewal() (err error) {
	w.record(func() {
		if len(w.renewals) > 0 {
			err = w.renewals[len(w.renewals)-1]
		}
	})
	return err
}

// TestNamesake runs two daemons with one node name.
func TestNamesake(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	watching(t, server, Config{Needs: needs}, func(first *watched) {
		first.Announce()
		first.after(5 * time.Second)
		second := first.another("h2", false)
		held := new(HeldError)
		second.after(time.Second)
		if err := second.lastRenewal(); !errors.As(err, &held) || held.Alive || held.Holder != "h1" {
			t.Errorf("at first the second one gets %v", err)
		}
		for range 30 {
			second.after(time.Second)
			if got := first.holder(); got != "h1" {
				t.Fatalf("the lease is kept by %s", got)
			}
		}
		if err := second.lastRenewal(); !errors.As(err, &held) || !held.Alive {
			t.Errorf("later the second one gets %v", err)
		}
		if err := first.lastRenewal(); err != nil {
			t.Errorf("the first one gets %v", err)
		}
		if log := second.log.String(); strings.Contains(log, "does not answer") || !strings.Contains(log, "two have that name") {
			t.Errorf("the second one logs:\n%s", log)
		}

		// The first one is gone: its lease ends, and the second one has it from then on.
		first.kill()
		second.after(LeaseTime / 2)
		if got := second.holder(); got != "h1" {
			t.Errorf("before the lease has ended it is kept by %s", got)
		}
		second.after(LeaseTime)
		if got, err := second.holder(), second.lastRenewal(); got != "h2" || err != nil {
			t.Errorf("after it has ended the lease is kept by %s: %v", got, err)
		}
		// And comes back: now it is the second.
		third := first.another("h3", false)
		third.after(30 * time.Second)
		if got := third.holder(); got != "h2" {
			t.Errorf("after the first has returned the lease is kept by %s", got)
		}
	})
}

// TestNextProcess follows a process of the same host, which is gone.
func TestNextProcess(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	watching(t, server, Config{Needs: needs}, func(first *watched) {
		first.Announce()
		first.after(5 * time.Second)
		first.kill()
		next := first.another("h2", true)
		next.after(time.Second)
		if got, err := next.holder(), next.lastRenewal(); got != "h2" || err != nil {
			t.Errorf("the lease is kept by %s: %v", got, err)
		}
	})
}

// TestSuperseded has another daemon take the lease away from a living one, as one that
// does not look who has it: who finds it taken yields.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	watching(t, server, Config{Needs: needs}, func(w *watched) {
		w.Announce()
		w.after(5 * time.Second)
		server.set(func() {
			l := server.objects["leases"][0].(map[string]any)
			l["spec"].(map[string]any)["holderIdentity"] = "h9"
			server.version++
			l["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(server.version)
		})
		w.after(RenewTime)
		held := new(HeldError)
		if err := w.lastRenewal(); !errors.As(err, &held) || !held.Alive || w.holder() != "h9" {
			t.Errorf("it gets %v, and the lease is kept by %s", err, w.holder())
		}
	})
}

// TestForeignWriter has somebody else write into the lease, which is no failure.
func TestForeignWriter(t *testing.T) {
	t.Parallel()
	needs, server := everything()
	watching(t, server, Config{Needs: needs}, func(w *watched) {
		w.Announce()
		w.after(5 * time.Second)
		server.set(func() {
			l := server.objects["leases"][0].(map[string]any)
			l["metadata"].(map[string]any)["labels"].(map[string]any)["of"] = "somebody"
			server.version++
			l["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(server.version)
		})
		w.after(2 * RenewTime)
		w.record(func() {
			for _, err := range w.renewals {
				if err != nil {
					t.Errorf("a renewal failed: %v", err)
				}
			}
		})
		if log := w.log.String(); strings.Contains(log, "WARN") {
			t.Errorf("it logs:\n%s", log)
		}
	})
}
