// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/http"

	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// ready reports whether a table is published and an uplink answers from it.
func (d *daemon) ready() bool {
	ready := false
	d.supervisor.look(func(u *uplink) { ready = ready || u.state == Ready })
	return ready && d.supervisor.store.Load() != nil
}

// readyHandler returns the page that says whether this node does its part, after
// which a rollout goes on to the next one.
func (d *daemon) readyHandler() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		waits := d.waits()
		if !d.ready() || len(waits) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		d.supervisor.look(func(u *uplink) { _, _ = fmt.Fprintln(w, u.config.Interface, u.state, u.why) })
		for _, what := range waits {
			_, _ = fmt.Fprintln(w, "kubernetes waits for", what)
		}
	}
}

// waits returns what of the cluster is not known yet since the start, from the server
// or the snapshot. Once all was known there is nothing any more, whatever happens to
// the server: answers outlive it. What the account may not read is not waited for.
func (d *daemon) waits() []string {
	s := d.supervisor
	s.mu.Lock()
	c := s.cluster
	if c == nil || c.complete {
		s.mu.Unlock()
		return nil
	}
	waits := c.waits()
	s.mu.Unlock() // the watcher calls us with its lock held
	waits = append(c.watcher.Waits(), waits...)
	if len(waits) == 0 && d.ready() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.complete = true
	}
	return waits
}

// waits returns what this node's part in sharing out services waits for. A lease that
// cannot be written is not waited for without a permission, nor without the server: the
// snapshot is what there is then.
func (c *cluster) waits() []string {
	switch {
	case !c.needs.Services, c.unreadable, c.standby, c.election.IsAlone():
		return nil
	case !c.known[k8swatch.SourceServices]:
		return []string{k8swatch.SourceServices}
	case c.needs.Leases && !c.known[k8swatch.SourceLeases]:
		return []string{k8swatch.SourceLeases}
	case !c.election.Speaks():
		return []string{"other announcers"}
	case c.needs.Leases && !c.leaseWell && (c.leaseFault == nil || c.heard[k8swatch.SourceLeases] && !mayNot(c.leaseFault)):
		return []string{"own lease"}
	}
	return nil
}
