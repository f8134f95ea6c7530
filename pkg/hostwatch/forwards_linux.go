// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"os"
	"path/filepath"
	"strings"
)

// Forwards reports whether the kernel forwards the IPv6 packets that arrive on the
// interface with that name. It does so by the setting of all interfaces, or, since
// Linux 6.17, where the interface has force_forwarding. The interface's own
// setting "forwarding", which rules.Link has, only makes it a router or a host to
// its neighbors.
func Forwards(name string) bool {
	return isSet("all", "forwarding") || isSet(filepath.Base(name), "force_forwarding")
}

// isSet reports whether a setting of an interface is not 0.
func isSet(device, setting string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", device, setting)) //nolint:gosec // a setting of an interface
	return err == nil && strings.TrimSpace(string(b)) != "0"
}
