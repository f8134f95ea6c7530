// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Check reads the files that rules name once, and returns what is known of them, in
// the order of their paths.
func Check(rs []rules.Rule) []File {
	named := filesOf(rs)
	var files []File
	for _, path := range slices.Sorted(maps.Keys(named)) {
		c, err := disk{}.read(path)
		var f file
		c.stamp.modified = time.Time{} // what it says counts as it is
		now := time.Now()
		f.observe(c, err, now)
		facts := f.facts(path, named[path], now)
		if err == nil && os.Geteuid() == 0 {
			facts.Hidden = hidden(path, hiddenTrees())
		}
		files = append(files, facts)
	}
	return files
}

// hiddenTrees are what the packages' unit hides from the service: by ProtectHome, and by
// PrivateTmp.
func hiddenTrees() []string { return []string{"/home", "/root", "/run/user", "/tmp", "/var/tmp"} }

// hidden says what keeps another user from reading a file, where that does not see some
// trees: these, and permissions on the way. It returns "" for nothing.
func hidden(path string, trees []string) string {
	for _, p := range places(path) {
		at := filepath.Join(p.directory, p.name)
		for _, tree := range trees {
			if at == tree || strings.HasPrefix(at, tree+"/") {
				return "it is in " + tree + ", which its sandbox hides"
			}
		}
		info, err := os.Stat(at)
		switch {
		case err != nil: // it goes away just now
			return ""
		case info.IsDir() && info.Mode()&0o001 == 0:
			return "the directory " + at + " may not be entered by everybody"
		case !info.IsDir() && info.Mode()&0o004 == 0:
			return at + " may not be read by everybody"
		}
	}
	return ""
}
