// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
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
	// missingPermissions stands among the objects for the sources that the account may
	// not read. Versions that do not know it pass over it.
	missingPermissions = "missing permissions"
	// proxyObject is where the snapshot has the URL of the service proxy, beside the
	// sources, where older versions do not mind it.
	proxyObject = "service proxy"
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
	// presume takes the permission for missing.
	presume()
}

func (k *kept[T]) source() string { return k.health.status.Source }

func (k *kept[T]) status() SourceStatus { return k.health.get() }

// known reports whether what is kept is all that there is.
func (k *kept[T]) known() bool { return k.health.known() }

func (k *kept[T]) presume() { k.health.presume() }

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
