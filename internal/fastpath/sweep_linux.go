// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Sweep removes what daemons before the calling one have left in its network namespace on
// other interfaces than these, and in other namespaces on devices that are gone. It returns
// a line for each thing that it has removed.
func Sweep(directory string, uplinks []string) (removed []string, err error) {
	cookie, err := namespaceCookie()
	if errors.Is(err, unix.ENOPROTOOPT) { // this kernel cannot have had a daemon that pins
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	removed, err = sweepOwn(directory, cookie, uplinks)
	dead, gone := sweepDead(directory, cookie)
	return append(removed, dead...), errors.Join(err, gone)
}

// sweepDead removes what is pinned of devices that are gone, of other namespaces.
func sweepDead(directory string, own uint64) (removed []string, err error) {
	if ours(filepath.Join(directory, "any")) != nil {
		return nil, nil
	}
	pins, err := openRemains(directory)
	if errors.Is(err, fs.ErrPermission) { // none that this daemon could have left
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	d := &detacher{
		DetachOptions: DetachOptions{Directory: directory, trusted: func(path string) bool { return ours(path) == nil }},
		pins:          pins,
	}
	d.dead(own)
	d.collect(pins.close())
	return d.removed, errors.Join(d.errs...)
}

// sweepOwn removes what is left on other interfaces than these.
func sweepOwn(directory string, cookie uint64, uplinks []string) (removed []string, err error) {
	folder := namespaceFolder(directory, cookie)
	if err := ours(filepath.Join(folder, "any")); errors.Is(err, errForeign) {
		return nil, nil //nolint:nilerr // nothing that this daemon could have left, and status says so
	}
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission): // none that this daemon could have left
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look at what is pinned: %w", err)
	}
	var others []string
	for _, e := range entries {
		device := deviceOf(e.Name())
		foreign := errors.Is(ours(filepath.Join(folder, e.Name())), errForeign)
		if !foreign && !slices.Contains(uplinks, device) {
			others = append(others, device)
		}
	}
	if len(others) == 0 {
		return nil, nil
	}
	return Detach(DetachOptions{
		Directory: directory, Interfaces: others,
		Daemon: func() (string, func(string) bool) { return "", func(string) bool { return false } },
	})
}
