// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// write shows what the cluster says.
func (c *ClusterEntry) write(b *strings.Builder) {
	if c.Pod != "" {
		fmt.Fprintf(b, "  pod            %s\n", c.Pod)
	}
	switch {
	case c.PrefixSource == "":
	case c.Prefix == "":
		fmt.Fprintf(b, "  node's prefix  none covers the address, by %s\n", c.PrefixSource)
	default:
		fmt.Fprintf(b, "  node's prefix  %s, by %s\n", c.Prefix, c.PrefixSource)
	}
	if c.Standby {
		fmt.Fprintf(b, "  service        not known here: this node stands by\n")
	}
	if c.Ignored != "" {
		fmt.Fprintf(b, "  service        %s, which does not count\n", c.Ignored)
	}
	if c.Service == "" {
		return
	}
	if len(c.Services) == 0 {
		fmt.Fprintf(b, "  service        %s (%s)\n", c.Service, c.Kind)
	}
	for _, u := range c.Services {
		fmt.Fprintf(b, "  service        %s\n", u)
	}
	if c.Node != "" {
		fmt.Fprintf(b, "  own address    of node %s\n", c.Node)
		return
	}
	if c.Untaken {
		return
	}
	fmt.Fprintf(b, "  owner          %s, backup %s\n", orNobody(c.Owner), orNobody(c.Backup))
	switch {
	case c.Unfit != "" && c.Owner != "":
		fmt.Fprintf(b, "  not fit        %s: this node answers because no other on its link can\n", c.Unfit)
	case c.Unfit != "":
		fmt.Fprintf(b, "  not fit        %s: this node leaves the address to the others of its link\n", c.Unfit)
	}
	if c.ByItself {
		fmt.Fprintf(b, "  by itself      no other node that announces is near, so none is asked\n")
	}
	if c.Uncalled {
		fmt.Fprintf(b, "  not called in  too many nodes that stand by would have to announce for Local policies\n")
	}
	if c.Endpoints != nil && len(c.Services) == 0 {
		fmt.Fprintf(b, "  endpoints      on %s\n", orNobody(strings.Join(c.Endpoints, ", ")))
	}
}

// String shows a use in one line.
func (u ServiceUse) String() string {
	text := fmt.Sprintf("%s (%s), ", u.Service, u.Kind)
	if !u.Served {
		text += "not "
	}
	text += "served here"
	switch {
	case u.Nodeless:
		text += "; an endpoint names no node, so every node takes its traffic"
	case u.Local && len(u.Endpoints)+len(u.Terminating) == 0:
		text += "; no endpoint serves"
	case u.Local && len(u.Endpoints) > 0:
		text += "; endpoints on " + strings.Join(u.Endpoints, ", ")
	}
	if len(u.Terminating) > 0 {
		text += "; endpoints that terminate and still serve on " + strings.Join(u.Terminating, ", ")
	}
	return text
}

func orNobody(s string) string {
	if s == "" {
		return "nobody"
	}
	return s
}

// write shows the cluster in rows.
func (c *Cluster) write(row func(name, format string, args ...any)) {
	row("kubernetes", "node %s, %s", c.Node, c.Server)
	if c.NodeAbsent {
		row("  NODE ABSENT", "the cluster has no Node %s; those with a name like it: %s", c.Node, orNone(c.NodesAlike))
	}
	if c.Namesake != "" {
		row("  NAMESAKE", "%s has the name of this node, too: this one owns nothing", c.Namesake)
	}
	for _, s := range c.Sources {
		row("  "+s.Source, "%s", s)
	}
	row("  pods here", "%d addresses", c.Pods)
	if c.PrefixSource != "" {
		row("  node's prefix", "by %s", c.PrefixSource)
	}
	row("  services", "%d addresses, %d of them answered here (ownership %s)", c.ServiceAddresses, c.OwnedAddresses, c.Ownership)
	for _, k := range c.Kinds {
		row("    "+k.Kind, "%d addresses, %d of them answered here", k.Known, k.Answered)
	}
	var state []string
	for _, part := range []struct {
		is   bool
		text string
	}{
		{c.Alone, "alone: the leases may not be read"},
		{c.Frozen, "frozen: the API server is away, owners stay as they are"},
		{c.Standby, "this node stands by"},
		{c.ByItself, "by itself: no other node that announces is near"},
		{!c.Settled && !c.Alone && !c.Standby, "not settled yet"},
		{c.Unfit != "", "unfit: " + c.Unfit},
	} {
		if part.is {
			state = append(state, part.text)
		}
	}
	if c.Ownership == rules.OwnershipHash.String() && c.Announcers > 0 {
		row("  announcers", "%d%s", c.Announcers, strings.Join(append([]string{""}, state...), "; "))
	}
	if c.Ownership != rules.OwnershipHash.String() && c.Unfit != "" {
		does := "others answer for services"
		if c.Irreplaceable {
			does = "it answers for services all the same, because no other node on its link can"
		}
		row("  unfit", "%s: %s", c.Unfit, does)
	}
	if c.Uncalled > 0 {
		row("  unanswered", "%d addresses of Local policies: too many nodes that stand by would have to announce for them", c.Uncalled)
	}
	if c.UnownedAddresses+c.ContestedAddresses > 0 {
		row("  owners", "%d addresses without one, %d with more than one", c.UnownedAddresses, c.ContestedAddresses)
	}
	for _, p := range c.Peers {
		row("  peer "+p.Node, "%s", p)
	}
}

// String shows a source in one line.
func (s Source) String() string {
	text := "not synced"
	switch {
	case s.Missing:
		text = "the cluster has none"
	case s.Synced:
		text = "synced"
	case s.Snapshot:
		text = "from the snapshot"
	}
	if !s.LastEvent.IsZero() {
		text += ", last heard " + time.Since(s.LastEvent).Round(time.Second).String() + " ago"
	}
	if s.Held > 0 {
		text += fmt.Sprintf(", %d held that the last list lacks", s.Held)
	}
	switch {
	case s.NoPermission:
		text += ", NOT PERMITTED: " + s.Fault
	case s.Forbidden:
		text += ", FORBIDDEN, which counts when it lasts: " + s.Fault
	case s.Fault != "":
		text += ", FAULT: " + s.Fault
	}
	return text
}

// String shows a peer in one line.
func (p Peer) String() string {
	text := fmt.Sprintf("owns %d", p.Owns)
	if !p.Settled {
		text += ", not settled"
	}
	if p.Expired {
		text += ", its lease has ended"
	}
	if p.Silent {
		text += ", silent on the link"
	} else if !p.Heard && !p.Expired {
		text += ", not heard on the link: its lease counts"
	}
	if p.Unfit != "" {
		text += ", unfit: " + p.Unfit
	}
	return text
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
