// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Status is what a running daemon tells of itself.
type Status struct {
	Version Version   `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Config  string    `json:"config"`
	Ready   bool      `json:"ready"`
	Rules   int       `json:"rules"`
	// Entries are how many facts each source knows.
	Entries map[string]int `json:"entries"`
	// NotFollowed are policy rules of the kernel that are not followed.
	NotFollowed []string     `json:"not_followed,omitempty"`
	Reload      ReloadStatus `json:"reload"`
	// Cluster is nil without Kubernetes.
	Cluster *ClusterStatus `json:"kubernetes,omitempty"`
	Uplinks []UplinkStatus `json:"uplinks"`
}

// ReloadStatus tells how the last load of the configuration went.
type ReloadStatus struct {
	Successful  bool      `json:"successful"`
	LastSuccess time.Time `json:"last_success"`
}

// UplinkStatus is the state of one uplink.
type UplinkStatus struct {
	Interface string    `json:"interface"`
	State     string    `json:"state"`
	Why       string    `json:"why,omitempty"`
	Since     time.Time `json:"since"`
	// Name is the device's present name where it was renamed.
	Name       string           `json:"name,omitempty"`
	Index      int              `json:"index,omitempty"`
	MAC        string           `json:"mac,omitempty"`
	Router     bool             `json:"router"`
	Source     string           `json:"source"`
	Membership MembershipStatus `json:"membership"`
	Received   uint64           `json:"solicitations_received"`
	Answered   uint64           `json:"solicitations_answered"`
	// Ignored holds the reasons that were met so far.
	Ignored map[string]uint64 `json:"solicitations_ignored,omitempty"`
	Drops   uint64            `json:"socket_drops"`
	// Conflicts are addresses of rules that another station has.
	Conflicts []ConflictStatus `json:"conflicts,omitempty"`
	// Announced counts unsolicited advertisements, and Announcing are the
	// addresses that are being announced.
	Announced  uint64 `json:"announcements_sent"`
	Announcing int    `json:"announcing"`
	// Unannounced counts addresses for which there was no room to announce.
	Unannounced uint64 `json:"unannounced,omitempty"`
}

// ConflictStatus is an address that a rule covers and another station has.
type ConflictStatus struct {
	Address netip.Addr `json:"address"`
	MAC     string     `json:"mac"`
	Since   time.Time  `json:"since"`
}

// MembershipStatus tells how multicast reaches an uplink.
type MembershipStatus struct {
	Mode     string         `json:"mode"`
	Groups   int            `json:"groups"`
	Wide     int            `json:"wide,omitempty"`
	AllMulti bool           `json:"all_multicast"`
	Unjoined []netip.Prefix `json:"unjoined,omitempty"`
}

func (d *daemon) status() Status {
	s := Status{
		Version: d.options.Version, PID: os.Getpid(), Started: d.started,
		Config: d.options.Origin, Ready: d.ready(), Reload: d.metrics.reloadStatus(),
	}
	s.NotFollowed = d.supervisor.routes.Policy()
	s.Entries = make(map[string]int)
	if t := d.supervisor.store.Load(); t != nil {
		s.Rules = len(t.Rules())
		for _, src := range rules.Sources() {
			s.Entries[src.String()] = t.Entries(src)
		}
	}
	s.Cluster = d.clusterStatus()
	d.supervisor.look(func(u *uplink) { s.Uplinks = append(s.Uplinks, u.status()) })
	return s
}

func (u *uplink) status() UplinkStatus {
	s := UplinkStatus{
		Interface: u.config.Interface, State: u.state.String(), Why: u.why, Since: u.since,
		Index: u.link.Index, Source: u.config.Source.String(),
		Membership: MembershipStatus{Mode: u.config.Membership.String()},
		Ignored:    make(map[string]uint64),
	}
	if u.link.Name != u.config.Interface {
		s.Name = u.link.Name
	}
	if u.link.Ethernet {
		s.MAC = macString(u.link.MAC)
	}
	if u.iface != nil {
		s.Router = u.iface.Router()
	}
	if u.membership != nil {
		m := u.membership.Status()
		s.Membership.Groups, s.Membership.AllMulti, s.Membership.Unjoined, s.Membership.Wide = m.Groups, m.AllMulti, m.Unjoined, m.Wide
	}
	u.countDrops()
	for _, k := range ndp.Kinds() {
		s.Received += u.counters.Received[k].Load()
		s.Answered += u.counters.Answered[k].Load()
	}
	for _, r := range ndp.Reasons() {
		if n := u.counters.Ignored[r].Load(); n > 0 {
			s.Ignored[r.String()] = n
		}
	}
	s.Drops = u.counters.Drops.Load()
	s.Announced, s.Announcing = u.counters.Unsolicited.Load(), u.duties.announcer.Len()
	s.Unannounced = u.duties.announcer.Dropped
	s.Conflicts = u.conflicts()
	return s
}

// conflicts returns the claims that stand, in order.
func (u *uplink) conflicts() []ConflictStatus {
	var cs []ConflictStatus
	for a, c := range u.duties.claims.All {
		if c.Stands {
			cs = append(cs, ConflictStatus{Address: a, MAC: macString(c.MAC), Since: c.Since})
		}
	}
	slices.SortFunc(cs, func(a, b ConflictStatus) int { return a.Address.Compare(b.Address) })
	return cs
}

// countDrops asks the kernel for its figure, which is the only one of the
// counters that is not kept here.
func (u *uplink) countDrops() {
	if u.listener != nil {
		u.report(u.listener.CountDrops())
	}
}
