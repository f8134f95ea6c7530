// SPDX-License-Identifier: Apache-2.0

package inspect

import "github.com/ndproxyd/ndproxyd/pkg/rules"

// fastPath looks whether solicitations are answered the way that the settings name. An
// uplink that names none is silent about it, as the packet socket answers everywhere, but
// for what an earlier daemon has left.
// The uplink logs it itself, when it falls back.
func (c *collector) fastPath() {
	before := len(c.found)
	c.fellBack()
	c.unpinned()
	c.left()
	for i := range c.found[before:] {
		c.found[before+i].Logged = true
	}
}

// fellBack looks for a way that was asked for and that does not answer.
func (c *collector) fellBack() {
	mode := c.Config.FastPath
	if mode == rules.FastPathAuto || mode == rules.FastPathOff {
		return
	}
	const slower = "solicitations are answered as the rules say, but more slowly"
	at := c.FastPath
	switch {
	case c.Config.LimitPerAsker > 0: // whether a daemon runs or not
		c.warn(reasonFastPath, slower+", and only while the daemon runs", "remove limit_per_asker, or fast_path: a program in the kernel counts no askers",
			"fast_path asks for %s on %s, and limit_per_asker leaves every solicitation to the packet socket", mode, c.name)
	case at == nil || !at.FellBack:
	case !at.InKernel():
		c.warn(reasonFastPath, slower+", and only while the daemon runs", fastPathRemedy,
			"fast_path asks for %s on %s, and the packet socket answers%s", mode, c.name, because(at.Why))
	default:
		c.warn(reasonFastPath, slower, fastPathRemedy,
			"fast_path asks for %s on %s, and %s answers%s", mode, c.name, at.Way, because(at.Why))
	}
}

// fastPathRemedy is for whatever keeps a way from being had.
const fastPathRemedy = `remove the cause, and restart the daemon unless "ndproxyd status" says when it tries again; or set "fast_path: auto" for the uplink, which takes what there is`

// unpinned looks for a program that does not outlive the daemon.
func (c *collector) unpinned() {
	if at := c.FastPath; at.InKernel() && at.Unpinned != "" {
		c.inform(reasonFastPath, "nobody answers while the daemon restarts", "remove the cause, which the daemon sees within minutes; fast_path_directory names another directory",
			"the program that answers on %s is not pinned: %s", c.name, at.Unpinned)
	}
}

// left looks for a program that an earlier daemon has left, and that this one may not end.
func (c *collector) left() {
	if at := c.FastPath; at != nil && at.Left != "" {
		c.inform(reasonFastPath, "it answers by the rules of that daemon for up to its fast_path_hold, and stays attached without answering after that", `run "ndproxyd detach" as root`,
			"an earlier daemon has left a program attached on %s: %s", c.name, at.Left)
	}
}

// because adds a reason to a sentence, if there is one.
func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// Left returns the finding of a program that a daemon has left at a hook of an uplink, while
// no daemon runs.
func Left(uplink, hook string) Finding {
	return Finding{
		Interface: uplink, Reason: reasonFastPath, Severity: Info,
		Problem: "no daemon runs, and a program that one has left is attached to " + uplink + ", at " + hook,
		Effect:  "it answers for as long as it was told to after the daemon's end, and then passes every packet on",
		Remedy:  "start the daemon, which takes it over; or remove it: ndproxyd detach " + uplink,
	}
}
