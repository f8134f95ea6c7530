// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many symbolic links a path may lead through, as in the kernel.
const maxLinks = 40

// place is a name in a directory. What becomes of it may change what a path leads
// to.
type place struct{ directory, name string }

// places returns all of these on the way of a path, through symbolic links: a file is
// replaced by what happens to its name, a Kubernetes ConfigMap by what happens to the
// link ..data in its directory, and a file that does not exist yet begins with its
// directory. The last place has no name: it is the file itself, which hears of those
// who write to it by another name, as through a bind mount.
func places(path string) []place {
	var (
		found []place
		links int
		at    = "/"
		rest  = strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	)
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		found = append(found, place{at, name})
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		switch {
		case err != nil: // it begins to exist here
			return found
		case info.Mode()&os.ModeSymlink == 0:
			at = next
			continue
		}
		to, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return found
		}
		if filepath.IsAbs(to) {
			at = "/"
		}
		rest = append(strings.Split(strings.Trim(to, "/"), "/"), rest...)
	}
	return append(found, place{directory: at})
}
