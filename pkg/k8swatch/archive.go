// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// archive reads and writes the snapshot of a watcher. One goroutine at a time calls
// its methods; it takes the watcher's lock to look at what is kept, never for the
// time that a file takes.
type archive struct {
	w      *Watcher
	fresh  time.Time // when all that is kept was as the server has it
	onDisk time.Time // of what the snapshot has, zero while there is none of use
}

// stores returns what is worth to be kept.
func (a *archive) stores() []stored {
	w, n := a.w, a.w.config.Needs
	var all []stored
	if n.Prefixes || n.Services {
		all = append(all, w.node)
	}
	if n.pods() {
		all = append(all, w.pods)
	}
	if w.config.asks(keyCalico) {
		for _, b := range w.blocks {
			all = append(all, b)
		}
	}
	if w.config.choosesSource() {
		all = append(all, w.anyBlock)
	}
	if w.config.asks(keyCilium) {
		all = append(all, w.ciliumNode)
	}
	if n.Leases { // before the services that they share out
		all = append(all, w.leases)
	}
	if n.ServiceCIDRs { // before the services that they tell the rules for
		all = append(all, w.cidrs)
	}
	if n.Services {
		all = append(all, w.addresses, w.slices, w.services)
	}
	return all
}

// shared reports whether a store holds what announcers share out.
func (a *archive) shared(k stored) bool {
	return k == stored(a.w.leases) || k == stored(a.w.services) || k == stored(a.w.slices) || k == stored(a.w.addresses)
}

// restore hands over what the last process knew. Pods end with a reboot.
func (a *archive) restore() {
	w := a.w
	if w.config.Snapshot == "" {
		return
	}
	log := w.config.Log.With("file", w.config.Snapshot)
	s, err := readSnapshot(w.config.Snapshot)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return
	case err != nil:
		log.Warn("the snapshot cannot be used: what it has is read from the API server again", "err", err)
		return
	case s.Node != w.config.Node:
		log.Warn("the snapshot is another node's, and is not used", "node", s.Node)
		return
	case time.Until(s.Saved) > SnapshotAge:
		log.Warn("the snapshot is from the future, and is not used: the clock was wrong when it was written, or it is now", "saved", s.Saved)
		return
	case time.Since(s.Saved) > SnapshotAge:
		log.Warn("the snapshot is too old, and is not used", "saved", s.Saved)
		return
	}
	rebooted := s.BootID != bootID()
	for _, k := range a.stores() {
		data, ok := s.Objects[k.source()]
		if !ok || rebooted && k == stored(w.pods) || w.config.Standby && a.shared(k) {
			continue
		}
		if err := k.load(data, s.Saved); err != nil {
			log.Warn("part of the snapshot cannot be used", "source", k.source(), "err", err)
		}
	}
	a.presume(s)
	a.fresh, a.onDisk = s.Saved, s.Saved
	w.mu.Lock()
	w.dirty = false
	if json.Unmarshal(s.Objects[proxyObject], &w.proxy) == nil && w.proxy != "" && w.handler.Proxy != nil {
		w.handler.Proxy(w.proxy)
	}
	w.mu.Unlock()
	log.Info("answering from the snapshot until the API server is heard", "saved", s.Saved, "rebooted", rebooted)
}

// presume takes the permissions for missing that the last process had not, so that a
// restart does not wait for [ForbiddenFor] again. What the server permits now counts as
// soon as it says so.
func (a *archive) presume(s snapshot) {
	var missing []string
	if err := json.Unmarshal(s.Objects[missingPermissions], &missing); err != nil { // there is none
		return
	}
	for _, k := range a.stores() {
		if slices.Contains(missing, k.source()) && (!a.w.config.Standby || !a.shared(k)) {
			k.presume()
		}
	}
}

// run writes what changes until ctx ends, and once more then.
func (a *archive) run(ctx context.Context) {
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	var last time.Time
	faulty := false
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
		if !a.isDue(last) {
			continue
		}
		err := a.write()
		last = time.Now()
		if was := faulty; was == (err != nil) {
			continue
		}
		if faulty = err != nil; faulty {
			a.warnUnwritten(err)
		} else {
			a.w.config.Log.Info("the snapshot is written again")
		}
	}
}

// isDue reports whether something has changed, or the snapshot has to show that what
// it has still holds.
func (a *archive) isDue(last time.Time) bool {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	heard := a.heard()
	if heard {
		a.fresh = time.Now()
	}
	return a.w.dirty || heard && time.Since(last) > snapshotTouch
}

// warnUnwritten logs why the snapshot was not written, and what that means: the one
// before stays where it is, and is good for a start until it is too old.
func (a *archive) warnUnwritten(err error) {
	log := a.w.config.Log
	if a.onDisk.IsZero() {
		log.Warn("writing the snapshot failed: a start without the API server will have no answers for Kubernetes", "err", err)
		return
	}
	log.Warn("writing the snapshot failed: a start without the API server will answer from the last one, while that is usable",
		"saved", a.onDisk, "until", a.onDisk.Add(SnapshotAge), "err", err)
}

// heard reports whether what is kept is as the server has it.
func (a *archive) heard() bool {
	for _, k := range a.stores() {
		s := k.status()
		if s.Restored || s.Fault != "" && !s.NoPermission || !k.known() && !a.shared(k) { // who stands by knows nothing of these
			return false
		}
	}
	return true
}

// write replaces the snapshot, whole or not at all. The lock is held only to copy
// what is kept.
func (a *archive) write() (err error) {
	defer func() {
		if err != nil {
			a.w.mu.Lock()
			a.w.dirty = true
			a.w.mu.Unlock()
		}
	}()
	s := snapshot{Version: snapshotVersion, Node: a.w.config.Node, BootID: bootID(), Objects: make(map[string]json.RawMessage)}
	for source, objects := range a.copyAll(&s.Saved) {
		if s.Objects[source], err = json.Marshal(objects); err != nil {
			return fmt.Errorf("write snapshot: %w", err)
		}
	}
	s.Checksum = s.sum()
	if err := saveSnapshot(a.w.config.Snapshot, s); err != nil {
		return err
	}
	a.onDisk = s.Saved
	return nil
}

// copyAll returns what is worth to be kept, by source, when it was as the server has it,
// and the service proxy that was seen.
func (a *archive) copyAll(saved *time.Time) map[string]any {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if *saved = a.fresh; saved.IsZero() {
		*saved = time.Now()
	}
	*saved = saved.Truncate(time.Second)
	a.w.dirty = false
	all := make(map[string]any)
	var missing []string
	if a.w.proxy != "" {
		all[proxyObject] = a.w.proxy
	}
	for _, k := range a.stores() {
		st := k.status()
		if st.Synced || st.Restored || st.Missing {
			all[k.source()] = k.copy()
		}
		if st.NoPermission {
			missing = append(missing, k.source())
		}
	}
	if len(missing) > 0 {
		all[missingPermissions] = missing
	}
	return all
}
