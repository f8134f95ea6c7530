// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mayAdminister reports whether this thread has CAP_NET_ADMIN. Without it the kernel
// refuses to show a firewall and policies of IPsec, and to ask for them would only
// make it load the modules.
func mayAdminister() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// listens reports whether the kernel has a part that speaks a protocol of netlink.
// Where it does not, nobody has set anything up there, and a socket would make it
// load the module.
func listens(protocol int) bool {
	b, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(b)) {
		// The socket, the protocol, and the port, which is 0 for the kernel's own.
		f := strings.Fields(line)
		if len(f) > 2 && f[1] == strconv.Itoa(protocol) && f[2] == "0" {
			return true
		}
	}
	return false
}
