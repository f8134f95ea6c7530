// SPDX-License-Identifier: Apache-2.0

package status

import (
	"net/netip"
	"time"
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
	// Waiting are the parts of the daemon that are not ready, and why.
	Waiting []Waiting `json:"waiting,omitempty"`
	// NotFollowed are policy rules of the kernel that are not followed.
	NotFollowed []string `json:"not_followed,omitempty"`
	Reload      Reload   `json:"reload"`
	// Files are the files of targets that rules name.
	Files []TargetFile `json:"files,omitempty"`
	// Cluster is nil without Kubernetes.
	Cluster *Cluster `json:"kubernetes,omitempty"`
	Uplinks []Uplink `json:"uplinks"`
	// RuleStates are of the rules that follow the uplinks.
	RuleStates []RuleState `json:"rule_states,omitempty"`
}

// Reload tells how the last load of the configuration went.
type Reload struct {
	Successful  bool      `json:"successful"`
	LastSuccess time.Time `json:"last_success"`
}

// TargetFile is a file of targets.
type TargetFile struct {
	Path string `json:"path"`
	// Targets are how many are in force. Held are those of them that the file does
	// not list any more, and that go if it stays so.
	Targets int `json:"targets"`
	Held    int `json:"held,omitempty"`
	// Faults are how many lines do not count, and Problem is the first of them, or
	// why the file cannot be read.
	Faults   int    `json:"faults"`
	Readable bool   `json:"readable"`
	Problem  string `json:"problem,omitempty"`
}

// Waiting is a part of the daemon that is not ready, and what it waits for.
type Waiting struct {
	Task string `json:"task"`
	For  string `json:"for"`
}

// Uplink is the state of one uplink.
type Uplink struct {
	Interface string    `json:"interface"`
	State     string    `json:"state"`
	Why       string    `json:"why,omitempty"`
	Since     time.Time `json:"since"`
	// Name is the device's present name where it was renamed.
	Name       string     `json:"name,omitempty"`
	Index      int        `json:"index,omitempty"`
	MAC        string     `json:"mac,omitempty"`
	Router     bool       `json:"router"`
	Source     string     `json:"source"`
	Membership Membership `json:"membership"`
	// FastPath is nil while nothing answers.
	FastPath *FastPath `json:"fast_path,omitempty"`
	Received uint64    `json:"solicitations_received"`
	Answered uint64    `json:"solicitations_answered"`
	// Ignored holds the reasons that were met so far.
	Ignored map[string]uint64 `json:"solicitations_ignored,omitempty"`
	Drops   uint64            `json:"socket_drops"`
	// Conflicts are addresses of rules that another station has.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// Announced counts unsolicited advertisements, and Announcing are the
	// addresses that are being announced.
	Announced  uint64 `json:"announcements_sent"`
	Announcing int    `json:"announcing"`
	// Unannounced counts addresses for which there was no room to announce.
	Unannounced uint64 `json:"unannounced,omitempty"`
}

// Conflict is an address that a rule covers and another station has.
type Conflict struct {
	Address netip.Addr `json:"address"`
	MAC     string     `json:"mac"`
	Since   time.Time  `json:"since"`
}

// Membership tells how multicast reaches an uplink.
type Membership struct {
	Mode     string         `json:"mode"`
	Groups   int            `json:"groups"`
	Wide     int            `json:"wide,omitempty"`
	AllMulti bool           `json:"all_multicast"`
	Unjoined []netip.Prefix `json:"unjoined,omitempty"`
}

// Version tells what was built.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
}
