// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// FastPath tells which way solicitations are answered on an uplink.
type FastPath struct {
	// Setting is what the configuration asks for.
	Setting string `json:"setting"`
	// Way is what answers first: packet-socket, tc, xdp or xdp-generic. The packet
	// socket stands behind the others. Hook is where the program is attached.
	Way  string `json:"way"`
	Hook string `json:"hook,omitempty"`
	// Since is when that way began to answer.
	Since time.Time `json:"since"`
	// Why says why no faster way answers, or not the one of the setting; "" where there
	// is nothing to say. Again is when that way is tried again; zero where nothing helps
	// but other settings, another interface or more privileges. FellBack is true where the
	// setting names a way, and it is another one.
	Why      string    `json:"why,omitempty"`
	Again    time.Time `json:"again,omitzero"`
	FellBack bool      `json:"fell_back"`
	// Pinned is the directory that keeps the program when the daemon ends; Unpinned says
	// why there is none.
	Pinned   string `json:"pinned,omitempty"`
	Unpinned string `json:"unpinned,omitempty"`
	// Left is what an earlier daemon has left attached, and this one may not remove.
	Left string `json:"left,omitempty"`
	// Lines are those of the view in the program's table, and Inherited those in place of
	// them or beside them that an earlier daemon has left and that nothing confirms yet.
	Lines     int `json:"lines"`
	Inherited int `json:"inherited"`
}

// InKernel reports whether a program of the kernel answers.
func (f *FastPath) InKernel() bool { return f != nil && f.Way != ndp.WaySocket.String() }

// write writes the way for people.
func (f *FastPath) write(row func(name, format string, args ...any)) {
	if f == nil {
		return
	}
	age, why := time.Since(f.Since).Round(time.Second), ""
	if f.Why != "" {
		why = ": " + f.Why
	}
	if !f.Again.IsZero() {
		why += fmt.Sprintf("; tried again in %s", max(0, time.Until(f.Again)).Round(time.Second))
	}
	asked := ""
	if f.FellBack {
		asked = " instead of " + f.Setting
	}
	if !f.InKernel() {
		row("  fast path", "none, the packet socket answers%s, for %s%s", asked, age, why)
		if f.Left != "" {
			row("  left over", "%s: the program of an earlier daemon is attached, and answers until its hold ends; ndproxyd detach, as root, removes it", f.Left)
		}
		return
	}
	inherited := ""
	if f.Inherited > 0 {
		inherited = fmt.Sprintf(", %d inherited and not confirmed yet", f.Inherited)
	}
	row("  fast path", "%s%s, for %s, %d lines%s%s", way(f.Way, f.Hook), asked, age, f.Lines, inherited, why)
	switch {
	case f.Pinned != "":
		row("  pinned", "in %s: answers outlive the daemon", f.Pinned)
	case f.Unpinned != "":
		row("  not pinned", "%s: answers end with the daemon", f.Unpinned)
	}
}

// way shows a way and its hook, of which that of XDP has the way's name in it.
func way(way, hook string) string {
	if hook == "" || strings.ReplaceAll(hook, " ", "-") == way {
		return way
	}
	return way + " (" + strings.TrimPrefix(hook, way+" ") + ")"
}

// Answerer tells who answers solicitations for an address.
type Answerer struct {
	// Way and Hook are those of [FastPath].
	Way  string `json:"way"`
	Hook string `json:"hook,omitempty"`
	// Why says why no faster way answers.
	Why string `json:"why,omitempty"`
	// Left are the solicitations for the address that a program in the kernel leaves to
	// the packet socket.
	Left []string `json:"left_to_socket,omitempty"`
}

// write writes the answerer for people; nil is nobody. Of the packet socket there is
// something to say only where another way could be expected.
func (a *Answerer) write(b *strings.Builder) {
	switch {
	case a == nil:
		return
	case a.Way == ndp.WaySocket.String() && a.Why == "":
		return
	case a.Way == ndp.WaySocket.String():
		fmt.Fprintf(b, "  answered by    the packet socket: %s\n", a.Why)
		return
	}
	fmt.Fprintf(b, "  answered by    a program in the kernel, %s; the packet socket stands behind it\n", way(a.Way, a.Hook))
	for _, left := range a.Left {
		fmt.Fprintf(b, "  by the socket  %s\n", left)
	}
}
