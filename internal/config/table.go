// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bufio"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tableFiles are where iproute2 looks for the names of routing tables; what the first
// one has goes before the others.
func tableFiles() []string {
	return []string{"/etc/iproute2/rt_tables", "/etc/iproute2/rt_tables.d/*.conf", "/usr/share/iproute2/rt_tables", "/usr/share/iproute2/rt_tables.d/*.conf"}
}

// tableNames returns the numbers of routing tables by name: those that the kernel makes
// (RT_TABLE_* of linux/rtnetlink.h), and those of the files. A file that cannot be read
// has none.
func tableNames(files []string) map[string]uint32 {
	names := make(map[string]uint32)
	for _, pattern := range slices.Backward(files) {
		paths, _ := filepath.Glob(pattern)
		for _, path := range slices.Backward(paths) {
			if f, err := os.Open(path); err == nil { //nolint:gosec // one of tableFiles
				parseTables(f, names)
				_ = f.Close()
			}
		}
	}
	names["main"], names["local"], names["default"] = unix.RT_TABLE_MAIN, unix.RT_TABLE_LOCAL, unix.RT_TABLE_DEFAULT
	return names
}

// parseTables reads lines of a number, a name, and possibly a comment.
func parseTables(r io.Reader, into map[string]uint32) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) != 2 {
			continue
		}
		if n, err := strconv.ParseUint(words[0], 0, 32); err == nil && n > 0 {
			into[words[1]] = uint32(n)
		}
	}
}

// readTable reads the number or the name of a routing table.
func readTable(v value, into *uint32) {
	s, ok := v.text()
	if !ok {
		return
	}
	if n, err := strconv.ParseUint(s, 0, 32); err == nil && n > 0 {
		*into = uint32(n)
		return
	}
	names := tableNames(tableFiles())
	if *into = names[s]; *into == 0 {
		var known []string
		for name := range names {
			known = append(known, name)
		}
		slices.Sort(known)
		v.fail("%q is neither a number from 1 to %d nor the name of a routing table in %s%s", s, uint32(math.MaxUint32), tableFiles()[0], didYouMean(s, known))
	}
}
