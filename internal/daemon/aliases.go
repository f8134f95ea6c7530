// SPDX-License-Identifier: Apache-2.0

package daemon

import "github.com/ndproxyd/ndproxyd/internal/status"

// Old names, until the parts of this package have moved.
type (
	ClusterStatus       = status.Cluster
	SourceStatus        = status.Source
	PeerStatus          = status.Peer
	ReloadStatus        = status.Reload
	UplinkStatus        = status.Uplink
	ConflictStatus      = status.Conflict
	MembershipStatus    = status.Membership
	RuleStatus          = status.Rule
	EntryStatus         = status.Entry
	AdvertisementStatus = status.Advertisement
	AnnouncementStatus  = status.Announcement
	RecordStatus        = status.Solicitation
	UplinkExplanation   = status.UplinkExplanation
	Version             = status.Version
	Status              = status.Status
	Explanation         = status.Explanation
	WatchFilter         = status.WatchFilter
	WatchEvent          = status.WatchEvent
	ClusterEntry        = status.ClusterEntry
)
