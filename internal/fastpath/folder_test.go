// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"strings"
	"testing"
)

// TestFolders names folders after interfaces and reads the names back.
func TestFolders(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, device := range []string{"eth0", "eth0.100", "a%2eb", "a.b", "..", "%new", "100%", "a%25", "%"} {
		folder := folderOf(device)
		if strings.Contains(folder, ".") || deviceOf(folder) != device || deviceOf(folder+newSuffix) != device {
			t.Errorf("the folder of %s is %s, which is of %s", device, folder, deviceOf(folder))
		}
		for _, name := range []string{folder, folder + newSuffix} {
			if other, taken := seen[name]; taken {
				t.Errorf("%s is of %s and of %s", name, device, other)
			}
			seen[name] = device
		}
	}
}
