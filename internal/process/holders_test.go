// SPDX-License-Identifier: Apache-2.0

package process

import (
	"slices"
	"strings"
	"testing"
)

// TestParseHolders reads the kernel's list of packet sockets.
func TestParseHolders(t *testing.T) {
	t.Parallel()
	const head = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"
	for name, c := range map[string]struct {
		list string
		want []holder
		bad  bool
	}{
		"empty":             {list: ""},
		"headings only":     {list: head},
		"of other programs": {list: head + "0000000000000000 3      3    0003   2     1 0      0      4711\n"},
		"two of ours": {
			list: head + "0000000000000000 3      2    05e4   0     1 0      0      4711\n" +
				"0000000000000000 3      3    86dd   2     1 0      0      4712\n" +
				"0000000000000000 3      2    05e4   0     1 0      61184  4713\n",
			want: []holder{{0, 4711}, {61184, 4713}},
		},
		"a short line":     {list: head + "0000000000000000 3 3 05e4\n", bad: true},
		"a wrong protocol": {list: head + "0 3 2 what 0 1 0 0 1\n", bad: true},
		"a wrong user":     {list: head + "0 3 2 05e4 0 1 0 root 1\n", bad: true},
		"a wrong inode":    {list: head + "0 3 2 05e4 0 1 0 0 -1\n", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseHolders(strings.NewReader(c.list))
			if (err != nil) != c.bad || !c.bad && !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}
