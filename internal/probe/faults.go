// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"log/slog"
	"syscall"
	"time"
)

const (
	// faultInterval is how long a fault is not logged again.
	faultInterval = time.Hour
	// maxFaults bounds how many are remembered.
	maxFaults = 256
)

// faults logs what failed, once an hour for each thing that can fail and each
// cause. It belongs to one goroutine.
type faults struct {
	log    *slog.Logger
	logged map[[2]string]time.Time
}

// report logs that something failed: "adding a host route". Without an error it
// does nothing.
func (f *faults) report(what string, err error) {
	if err == nil {
		return
	}
	key, now := [2]string{what, cause(err)}, time.Now()
	if last, ok := f.logged[key]; ok && now.Sub(last) < faultInterval {
		return
	}
	if f.logged == nil || len(f.logged) >= maxFaults {
		f.logged = make(map[[2]string]time.Time)
	}
	f.logged[key] = now
	f.log.Warn(what+" failed", "err", err)
}

// cause returns the kernel's reason without the words around it, which name an
// address or a device.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
