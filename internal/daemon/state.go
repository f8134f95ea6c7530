// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net"

	"github.com/ndproxyd/ndproxyd/internal/task"
	life "github.com/ndproxyd/ndproxyd/internal/uplink"
)

// The old names, until the last of this package's parts has moved.
type (
	// State is that of an uplink.
	State   = life.State
	backoff = task.Backoff
)

// The states.
const (
	Absent      = life.Absent
	Down        = life.Down
	NotEthernet = life.NotEthernet
	Port        = life.Port
	NoIPv6      = life.NoIPv6
	NoAddress   = life.NoAddress
	Failed      = life.Failed
	Ready       = life.Ready
)

func macString(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }
