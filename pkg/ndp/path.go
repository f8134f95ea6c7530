// SPDX-License-Identifier: Apache-2.0

package ndp

import "time"

// Path tells which way solicitations are answered on an uplink.
type Path struct {
	// Way is what sees a solicitation first. What it does not decide, the packet
	// socket answers.
	Way Way
	// Hook names where the program is attached: tcx, clsact, xdp native, xdp
	// generic; "" for the packet socket alone.
	Hook string
	// Since is when that way began to answer.
	Since time.Time
	// Why says in one sentence why no faster way answers, or not the one that the
	// settings ask for; "" where there is nothing to say.
	Why string
	// Again is when that is tried again; zero where nothing helps but other settings,
	// another interface or more privileges.
	Again time.Time
	// Pinned is the folder of bpffs that keeps the program when the daemon ends; ""
	// where its answers end with the daemon, of which Unpinned says why.
	Pinned, Unpinned string
	// Left is what an earlier daemon has left attached, and this one may not remove: it
	// answers by a table of its own until its time has passed.
	Left string
	// Lines is how many lines the view has in the program's table.
	Lines int
	// Inherited is how many lines an earlier daemon has left that the evidence of this
	// one does not confirm yet. They stand in place of lines of the view, or beside them.
	Inherited int
	// Leaving is true while a program that does not count any more still keeps unicast
	// solicitations from the kernel's IPv6, until something else does, see
	// [Responder.Relieve].
	Leaving bool
}

// Way is what answers solicitations.
type Way uint8

// The ways.
const (
	// WaySocket is the packet socket.
	WaySocket Way = iota
	// WayTC is a program at tc ingress.
	WayTC
	// WayXDP is a program in the device's driver.
	WayXDP
	// WayXDPGeneric is a program behind any driver.
	WayXDPGeneric

	wayCount
)

// String returns the way's name in status and metrics.
func (w Way) String() string {
	switch w {
	case WaySocket:
		return "packet-socket"
	case WayTC:
		return "tc"
	case WayXDP:
		return "xdp"
	case WayXDPGeneric:
		return "xdp-generic"
	case wayCount:
	}
	return "unknown"
}

// Ways lists every way.
func Ways() []Way { return []Way{WaySocket, WayTC, WayXDP, WayXDPGeneric} }
