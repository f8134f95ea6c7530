// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// hasSettled is what the record of a lease has, within JSON, whose node has settled.
const hasSettled = `\"settled\":true`

// onDisk waits until the snapshot of a node has what a daemon that starts has to find there:
// of a source some words, each of them as often as it is named.
func onDisk(t *testing.T, node *cluster.Node, source string, words ...string) {
	t.Helper()
	wanted := make(map[string]int)
	for _, w := range words {
		wanted[w]++
	}
	harness.Eventually(t, "snapshot with all "+source, func() bool {
		b, err := os.ReadFile(filepath.Join(node.Dir, "state.json"))
		if err != nil {
			return false
		}
		var s struct{ Objects map[string]json.RawMessage }
		harness.Must(t, json.Unmarshal(b, &s))
		for w, count := range wanted {
			if strings.Count(string(s.Objects[source]), w) < count {
				return false
			}
		}
		return true
	})
}

// quoted are addresses as a snapshot has them.
func quoted(targets []netip.Addr) []string {
	var words []string
	for _, target := range targets {
		words = append(words, `"`+target.String()+`"`)
	}
	return words
}
