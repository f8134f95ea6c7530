// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net"
	"os"
	"slices"

	"github.com/ndproxyd/ndproxyd/internal/process"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Status tells what the daemon is doing. It waits for no uplink that is stuck.
func (d *daemon) Status(ctx context.Context) status.Status {
	d.uplinks.CountDrops(ctx)
	s := status.Status{
		Version: d.options.Version, PID: os.Getpid(), Started: d.started,
		Config: *d.origin.Load(), Ready: d.ready(), Reload: d.figures.Reload(),
		NotFollowed: d.routes.Policy(), Cluster: d.cluster.Status(),
		Entries: make(map[string]int),
	}
	if t := d.store.Load(); t != nil {
		s.Rules = len(t.Rules())
		for _, src := range rules.Sources() {
			s.Entries[src.String()] = t.Entries(src)
		}
	}
	s.RuleStates = d.ruleStates()
	s.Files = d.files()
	for _, w := range d.group.Waiting() {
		s.Waiting = append(s.Waiting, status.Waiting{Task: w.Task, For: w.For})
	}
	for _, f := range d.uplinks.Facts() {
		s.Uplinks = append(s.Uplinks, uplinkStatus(f))
	}
	return s
}

// files returns what is known of the files of targets.
func (d *daemon) files() []status.TargetFile {
	var files []status.TargetFile
	for _, f := range d.targets.Files() {
		files = append(files, status.TargetFile{
			Path: f.Path, Targets: f.Targets, Held: f.Held, Faults: f.Wrong + f.Outside, Readable: f.Err == nil, Problem: f.Summary(),
		})
	}
	return files
}

// replaced reports whether the pod that takes this one's place waits for it to stop. The
// kubelet asks for that one's health at the same address, and so asks this daemon. It must
// not be held up by what this one lacks, and this one has to stop in any case.
func (d *daemon) replaced(ctx context.Context) bool {
	if d.options.Predecessor == nil {
		return false
	}
	name := process.Successor(ctx)
	return name != "" && d.options.Predecessor(name)
}

// idle reports whether this node has no uplink to answer on, and the configuration takes
// it for ready nevertheless. It is not known before the uplinks were looked at.
func (d *daemon) idle() bool {
	if !d.reconciler.config.Load().ReadyWithoutUplink || !d.reconciler.complete.Load() {
		return false
	}
	return !slices.ContainsFunc(d.uplinks.Facts(), func(f *uplink.Facts) bool { return !hasNoIPv6(f) })
}

// hasNoIPv6 reports whether there is nothing to answer on at an uplink. With disable_ipv6
// an interface has no address at all, not even one that is being checked for duplicates.
func hasNoIPv6(f *uplink.Facts) bool {
	switch f.State {
	case uplink.Absent, uplink.NoIPv6:
		return true
	case uplink.NoAddress:
		return len(f.Link.Addresses) == 0
	case uplink.Down, uplink.NotEthernet, uplink.Port, uplink.Failed, uplink.Ready:
	}
	return false
}

// ready reports whether an uplink answers, or none has to. After the start the nftables table has to
// be there as well, where one is wanted and can be made, and the files of targets have
// to be read.
func (d *daemon) ready() bool {
	switch {
	case d.uplinks.Ready() != nil && !d.idle():
		return false
	case d.complete.Load():
	case d.targets.Ready() != nil, !d.keeper.Tried(consumed(d.uplinks.Facts(), d.store.Load())):
		return false
	}
	d.complete.Store(true)
	return true
}

func uplinkStatus(f *uplink.Facts) status.Uplink {
	s := status.Uplink{
		Interface: f.Config.Interface, State: f.State.String(), Why: f.Why, Since: f.Since,
		Index: f.Link.Index, Source: f.Config.Source.String(),
		Membership: status.Membership{
			Mode: f.Config.Membership.String(), Groups: f.Membership.Groups, AllMulti: f.Membership.AllMulti,
			Unjoined: f.Membership.Unjoined, Wide: f.Membership.Wide,
		},
		Ignored: make(map[string]uint64), Drops: f.Counters.Drops.Load(),
		Announced: f.Counters.Unsolicited.Load(), Announcing: f.Announcing, Unannounced: f.Unannounced,
	}
	s.FastPath = fastPath(f)
	if f.Link.Name != f.Config.Interface {
		s.Name = f.Link.Name
	}
	if f.Link.Ethernet {
		s.MAC = macString(f.Link.MAC)
	}
	if f.Interface != nil {
		s.Router = f.Interface.Router()
	}
	for _, k := range ndp.Kinds() {
		if k == ndp.Presence { // daemons among themselves
			continue
		}
		s.Received += f.Counters.Received[k].Load()
		s.Answered += f.Counters.Answered[k].Load()
	}
	for _, r := range ndp.Reasons() {
		if n := f.Counters.Ignored[r].Load(); n > 0 {
			s.Ignored[r.String()] = n
		}
	}
	for _, c := range f.Conflicts {
		s.Conflicts = append(s.Conflicts, status.Conflict{Address: c.Address, MAC: macString(c.MAC), Since: c.Since})
	}
	return s
}

func macString(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }
