// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

const (
	// volumeData is the symbolic link that a kubelet puts into the volume of a ConfigMap
	// and replaces, in one step, when the ConfigMap has changed.
	volumeData = "..data"
	// volumeEvery is how often it is read. The kubelet itself takes up to a minute or so
	// to write a change, and inotify has a limit for all programs of a host.
	volumeEvery = 5 * time.Second
)

// configVolume has the configuration read again when the ConfigMap that it is mounted
// from has changed, since nobody sends a signal to a pod. A file that is not in such a
// volume is never looked at. It implements [task.Task].
type configVolume struct {
	link    string        // "" where the file is in no volume
	target  string        // of the link when the configuration was read last
	changed chan struct{} // holds a request for a reload
}

// newConfigVolume returns the volume that a file is in. It is made before the file is
// read for the first time, so that no change is missed.
func newConfigVolume(file string) *configVolume {
	v := &configVolume{changed: make(chan struct{}, 1)}
	link := filepath.Join(filepath.Dir(file), volumeData)
	if target, err := os.Readlink(link); file != "" && err == nil {
		v.link, v.target = link, target
	}
	return v
}

// String implements [task.Task].
func (v *configVolume) String() string { return "configuration volume" }

// Ready implements [task.Task].
func (v *configVolume) Ready() error { return nil }

// Run implements [task.Task].
func (v *configVolume) Run(ctx context.Context) error {
	if v.link == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(volumeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			v.look()
		}
	}
}

// look asks for a reload if the volume has changed. While the link is missing nothing
// is known, and the configuration in force stays.
func (v *configVolume) look() {
	target, err := os.Readlink(v.link)
	if err != nil || target == v.target {
		return
	}
	v.target = target
	select {
	case v.changed <- struct{}{}:
	default: // a reload that has not begun yet reads this change, too
	}
}
