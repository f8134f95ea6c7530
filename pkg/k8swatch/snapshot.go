// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	snapshotVersion = 1
	// snapshotEvery is how often what has changed is written.
	snapshotEvery = 5 * time.Second
	// snapshotTouch is how often it is written unchanged, to show its age.
	snapshotTouch = time.Hour
	// SnapshotAge is how old a snapshot may be: an answer from an older one is
	// more likely wrong than right.
	SnapshotAge = 24 * time.Hour
	bootIDFile  = "/proc/sys/kernel/random/boot_id"
)

// snapshot is what outlives the process.
type snapshot struct {
	Version  int                        `json:"version"`
	Saved    time.Time                  `json:"saved"`
	Node     string                     `json:"node"`
	BootID   string                     `json:"boot_id"`
	Objects  map[string]json.RawMessage `json:"objects"` // by source
	Checksum string                     `json:"checksum"`
}

// sum is over all but itself.
func (s snapshot) sum() string {
	s.Checksum = ""
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// stored is a source whose objects outlive the process.
type stored interface {
	source() string
	known() bool
	status() SourceStatus
	// copy returns the objects as they are now, with the watcher's lock held.
	// The copy may be encoded without it.
	copy() any
	load(data json.RawMessage, at time.Time) error
}

func (k *kept[T]) source() string { return k.health.status.Source }

func (k *kept[T]) status() SourceStatus { return k.health.get() }

// known reports whether what is kept is all that there is.
func (k *kept[T]) known() bool { return k.health.known() }

func (k *kept[T]) copy() any { return maps.Clone(k.objects) } // the objects themselves never change

// load takes objects over as they were at a time.
func (k *kept[T]) load(data json.RawMessage, at time.Time) error {
	var objects map[string]T
	if err := json.Unmarshal(data, &objects); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var keys []string
	for key, o := range objects {
		k.objects[key] = o
		keys = append(keys, key)
	}
	k.restored = len(keys) > 0
	k.health.restored(at)
	k.changed(keys)
	return nil
}

// stores returns what is worth to be kept.
func (w *Watcher) stores() []stored {
	n := w.config.Needs
	var all []stored
	if n.Prefixes || n.Services {
		all = append(all, w.node)
	}
	if n.Pods || n.Prefixes {
		all = append(all, w.pods)
	}
	if n.Prefixes {
		for _, b := range w.blocks {
			all = append(all, b)
		}
		all = append(all, w.ciliumNode)
	}
	if n.Leases { // before the services that they share out
		all = append(all, w.leases)
	}
	if n.Services {
		all = append(all, w.slices, w.services)
	}
	if n.ServiceCIDRs {
		all = append(all, w.cidrs)
	}
	return all
}

// shared reports whether a store holds what announcers share out.
func (w *Watcher) shared(k stored) bool {
	return k == stored(w.leases) || k == stored(w.services) || k == stored(w.slices)
}

// restore hands over what the last process knew. Pods end with a reboot.
func (w *Watcher) restore() {
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
	case time.Since(s.Saved) > SnapshotAge || time.Until(s.Saved) > SnapshotAge:
		log.Warn("the snapshot is too old, and is not used", "saved", s.Saved)
		return
	}
	rebooted := s.BootID != bootID()
	for _, k := range w.stores() {
		data, ok := s.Objects[k.source()]
		if !ok || rebooted && k == stored(w.pods) || w.config.Standby && w.shared(k) {
			continue
		}
		if err := k.load(data, s.Saved); err != nil {
			log.Warn("part of the snapshot cannot be used", "source", k.source(), "err", err)
		}
	}
	w.mu.Lock()
	w.fresh, w.onDisk, w.dirty = s.Saved, s.Saved, false
	w.mu.Unlock()
	log.Info("answering from the snapshot until the API server is heard", "saved", s.Saved, "rebooted", rebooted)
}

func readSnapshot(path string) (snapshot, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return snapshot{}, err
	}
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return snapshot{}, fmt.Errorf("read snapshot: %w", err)
	}
	if s.Version != snapshotVersion {
		return snapshot{}, fmt.Errorf("read snapshot: version %d is not %d", s.Version, snapshotVersion)
	}
	if s.Checksum != s.sum() {
		return snapshot{}, errors.New("read snapshot: the checksum is wrong")
	}
	return s, nil
}

// keepSnapshot writes what changes until ctx ends, and once more then.
func (w *Watcher) keepSnapshot(ctx context.Context) {
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
		w.mu.Lock()
		if w.heard() {
			w.fresh = time.Now()
		}
		due := w.dirty || time.Since(last) > snapshotTouch && w.heard()
		w.mu.Unlock()
		if !due {
			continue
		}
		err := w.write()
		last = time.Now()
		if was := faulty; was == (err != nil) {
			continue
		}
		if faulty = err != nil; faulty {
			w.warnUnwritten(err)
		} else {
			w.config.Log.Info("the snapshot is written again")
		}
	}
}

// warnUnwritten logs why the snapshot was not written, and what that means: the one
// before stays where it is, and is good for a start until it is too old.
func (w *Watcher) warnUnwritten(err error) {
	w.mu.Lock()
	onDisk := w.onDisk
	w.mu.Unlock()
	if onDisk.IsZero() {
		w.config.Log.Warn("writing the snapshot failed: a start without the API server will have no answers for Kubernetes", "err", err)
		return
	}
	w.config.Log.Warn("writing the snapshot failed: a start without the API server will answer from the last one, while that is usable",
		"saved", onDisk, "until", onDisk.Add(SnapshotAge), "err", err)
}

// heard reports whether what is kept is as the server has it.
func (w *Watcher) heard() bool {
	for _, k := range w.stores() {
		s := k.status()
		if s.Restored || s.Fault != "" && !s.Forbidden || !k.known() && !w.shared(k) { // who stands by knows nothing of these
			return false
		}
	}
	return true
}

// write replaces the snapshot, whole or not at all. The lock is held only to copy
// what is kept.
func (w *Watcher) write() (err error) {
	defer func() {
		if err != nil {
			w.mu.Lock()
			w.dirty = true
			w.mu.Unlock()
		}
	}()
	s := snapshot{Version: snapshotVersion, Node: w.config.Node, BootID: bootID(), Objects: make(map[string]json.RawMessage)}
	for source, objects := range w.copyAll(&s.Saved) {
		if s.Objects[source], err = json.Marshal(objects); err != nil {
			return fmt.Errorf("write snapshot: %w", err)
		}
	}
	s.Checksum = s.sum()
	if err := saveSnapshot(w.config.Snapshot, s); err != nil {
		return err
	}
	w.mu.Lock()
	w.onDisk = s.Saved
	w.mu.Unlock()
	return nil
}

// copyAll returns what is worth to be kept, by source, and when it was as the server
// has it.
func (w *Watcher) copyAll(saved *time.Time) map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *saved = w.fresh; saved.IsZero() {
		*saved = time.Now()
	}
	*saved = saved.Truncate(time.Second)
	w.dirty = false
	all := make(map[string]any)
	for _, k := range w.stores() {
		// Of leases and endpoints that may not be read nothing is known; of a
		// network's objects it is that there are none for us.
		if own := k.source() == SourceLeases || k.source() == SourceEndpointSlices; k.known() && !(own && k.status().Forbidden) {
			all[k.source()] = k.copy()
		}
	}
	return all
}

func saveSnapshot(path string, s snapshot) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".snapshot-*")
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is renamed if all goes well
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// bootID tells one boot of the machine from the next.
func bootID() string {
	b, err := os.ReadFile(bootIDFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
