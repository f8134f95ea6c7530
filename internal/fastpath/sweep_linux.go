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
// other interfaces than these, and returns a line for each thing that it has removed.
func Sweep(directory string, uplinks []string) (removed []string, err error) {
	cookie, err := namespaceCookie()
	if errors.Is(err, unix.ENOPROTOOPT) { // this kernel cannot have had a daemon that pins
		return nil, nil
	} else if err != nil {
		return nil, err
	}
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
