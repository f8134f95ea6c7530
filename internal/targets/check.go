// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"maps"
	"slices"
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
		f.observe(c, err, time.Now())
		files = append(files, f.facts(path, named[path], time.Now()))
	}
	return files
}
