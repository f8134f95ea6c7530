// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"
)

// Lists is a set of files of targets, by their paths. The zero Lists is empty. Lists
// of the same files are equal.
type Lists struct{ paths string } // each followed by NUL, which no path contains

// ListsOf returns the set of these files.
func ListsOf(paths ...string) Lists {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	var b strings.Builder
	for _, p := range slices.Compact(paths) {
		b.WriteString(p)
		b.WriteByte(0)
	}
	return Lists{b.String()}
}

// Has reports whether the file is one of the set.
func (l Lists) Has(path string) bool {
	for rest := l.paths; rest != ""; {
		var p string
		if p, rest, _ = strings.Cut(rest, "\x00"); p == path {
			return true
		}
	}
	return false
}

// listTable numbers sets of files, so that an entry holds four octets of them. There
// are few: one for each file, and one for each combination of files that list the
// same prefix. The number 0 is the empty set. The store's mutex guards it.
type listTable struct {
	sets    []Lists
	numbers map[Lists]int32
}

func (t *listTable) intern(l Lists) int32 {
	if l == (Lists{}) {
		return 0
	}
	n, known := t.numbers[l]
	if !known {
		if t.numbers == nil {
			t.numbers, t.sets = make(map[Lists]int32), []Lists{{}}
		}
		n = int32(len(t.sets)) //nolint:gosec // there are few
		t.sets = append(t.sets, l)
		t.numbers[l] = n
	}
	return n
}

func (t *listTable) get(number int32) Lists {
	if number == 0 {
		return Lists{}
	}
	return t.sets[number]
}

// has reports whether the set of that number has a file.
func (t *listTable) has(number int32, path string) bool { return t.get(number).Has(path) }
