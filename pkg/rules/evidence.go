// SPDX-License-Identifier: Apache-2.0

package rules

// This file holds the three tables that a new kind of evidence adds a row to:
// who reports entries, why an address may stay unanswered, and which methods a
// rule may name. Everything else follows them: the parser, the metrics, explain
// and the documentation.

// Source is who reports an entry.
type Source uint8

// The sources.
const (
	// Kernel reports what the kernel's routes say.
	Kernel Source = iota
	// Probed reports addresses that have answered a solicitation of ours.
	Probed
	// PodAddresses are those of this node's pods, as the cluster has them.
	PodAddresses
	// NodePrefixes are those that the cluster gave this node.
	NodePrefixes
	// ServiceAddresses are those that are allocated. One that is Behind is to be
	// answered by this node.
	ServiceAddresses
	// Listed reports what files of targets list, see [Entry.Lists].
	Listed

	sourceCount
)

// source is a row of the table of sources.
type source struct {
	name string // in metrics and in explain
	// wide is true where an entry speaks for every address of its prefix, and
	// not of the one address that it names.
	wide bool
	// alone is true where no other source's entries have a part in what its
	// entries come to.
	alone bool
}

func sources() [sourceCount]source {
	return [sourceCount]source{
		Kernel:           {name: "kernel", wide: true},
		Probed:           {name: "probe"},
		PodAddresses:     {name: "pods"},
		NodePrefixes:     {name: "node", wide: true},
		ServiceAddresses: {name: "services", alone: true},
		Listed:           {name: "file", wide: true},
	}
}

// Silence is why a standing decision is not to answer.
type Silence uint8

// The reasons of silence.
const (
	// NotSilent goes with an answer.
	NotSilent Silence = iota
	// Denied by a deny rule.
	Denied
	// NoRoute: the kernel has no route to a device behind us.
	NoRoute
	// NextHop: the address is the next hop of a route through the uplink.
	NextHop
	// Claimed: another station on the uplink is seen to own the address.
	Claimed
	// NotLocal: no pod of this node has the address, and no prefix of it.
	NotLocal
	// NotAllocated: no service has the address.
	NotAllocated
	// NotOwner: another node answers for the service address.
	NotOwner
	// SameLink: whoever has the address is on the uplink's link, and answers.
	SameLink
	// OwnAddress: the host itself has the address, and the rule does not count that.
	OwnAddress
	// NotListed: the rule's file of targets does not list the address.
	NotListed
	// Shared: the route to a device behind us is no more specific than the uplink's
	// on-link prefix, and the target cannot be asked for on that device.
	Shared
	// Standby: the rule waits for its conditions, see [Rule.While].
	Standby
	// NodeAddress: a node of the cluster has the service address as its own.
	NodeAddress
	// OtherKind: a service has the address, of a kind that the rule does not answer for.
	OtherKind

	// SilenceCount is how many there are, NotSilent among them.
	SilenceCount
)

// silence is a row of the table of reasons.
type silence struct {
	name string // in metrics, logs and the documentation
	text string // for people
}

func silences() [SilenceCount]silence {
	return [SilenceCount]silence{
		NotSilent:    {"not_silent", "the address is answered for"},
		Denied:       {"denied", "the most specific rule for the address is a deny rule"},
		NoRoute:      {"no_route", "the kernel has no route for the address to a device behind this node"},
		NextHop:      {"next_hop", "the address is the next hop of a route through the uplink: a router has it"},
		Claimed:      {"claimed", "another station on the uplink has the address, and answers for it"},
		NotLocal:     {"not_local", "no pod of this node has the address, and no prefix of this node covers it"},
		NotAllocated: {"not_allocated", "no service has the address, or none that counts"},
		NotOwner:     {"not_owner", "another node answers for the service address"},
		SameLink:     {"same_link", "who has the address is on the uplink's own link and answers itself: the kernel's route, or each device that the rule names, leads there (the uplink itself, a macvlan or ipvlan device on it, or a port of it)"},
		OwnAddress:   {"own_address", "this host itself has the address, which is no evidence for the rule: the rule says own_addresses: false or names other devices, or the address is hidden on purpose. A rule that names its device (devices), or a static one, answers for it"},
		NotListed:    {"not_listed", "the file of targets that the rule names does not list the address"},
		Shared:       {"shared_prefix", "the uplink has the same prefix on-link as the device behind this node or a more specific one, so the route does not tell where the address is, and it cannot be asked for on the device. A more specific route, or a rule for a part of the prefix, answers for it"},
		Standby:      {"standby", "the rule holds only under a condition (while) that is not met at present"},
		NodeAddress:  {"node_address", "a node of the cluster has the address as its own, and the kernel of that node answers for it"},
		OtherKind:    {"other_kind", "a service has the address, of a kind that the rule does not answer for: see kinds of the rule, and services.kinds"},
	}
}

// Method is the kind of evidence that a rule takes to answer for an address.
type Method uint8

// The methods that a rule may name.
const (
	// Static answers for every address of the prefix.
	Static Method = iota + 1
	// Route answers where the kernel's best route leads to a device behind us.
	Route
	// Probe answers as Route does, for targets that have answered a
	// solicitation of ours on that device.
	Probe
	// Node answers in the prefixes that the cluster gave this node.
	Node
	// Pods answers for the addresses of this node's pods.
	Pods
	// Services answers for the allocated service addresses that this node owns.
	Services
	// File answers for the addresses and prefixes that the rule's file of targets
	// lists.
	File
	// Deny never answers.
	Deny

	methodEnd
)

// method is a row of the table of methods.
type method struct {
	name string // in configuration files, metrics and logs
	// sources are those whose entries it asks for.
	sources []Source
	// needs is what has to be there for its sources to have entries.
	needs Need
	// decide makes a finding of the entries.
	decide decision
	// silence is the reason without an entry that says yes, elsewhere that where
	// an entry says that another node answers.
	silence, elsewhere Silence
	// yes is why an address is answered, for people.
	yes string
	// covers is what it answers for, in Markdown.
	covers string
}

func methods() [methodEnd]method {
	return [methodEnd]method{
		Static: {
			name: "static", decide: everything,
			yes:    "the rule answers for every address of its prefix",
			covers: "every address of the prefix",
		},
		Route: {
			name: "route", sources: []Source{Kernel, Probed}, decide: routed, silence: NoRoute,
			yes:    "the kernel routes the address to a device behind this node",
			covers: "addresses for which the kernel's best route leads to a device behind the node, and what the host itself has (AnyIP prefixes, addresses of lo, a bridge or a tunnel)",
		},
		Probe: {
			name: "probe", sources: []Source{Kernel, Probed}, decide: asked, silence: NoRoute,
			yes:    "the kernel routes the address to a device behind this node, where it cannot be asked for",
			covers: "the addresses of `route` that have answered a solicitation of the daemon on that device. Addresses behind another router, or on a device without neighbor discovery such as `wg0` or `tun0`, and those of the host itself cannot be asked and are answered for as with `route`",
		},
		Node: {
			name: "node", sources: []Source{Kernel, NodePrefixes, PodAddresses}, needs: Kubernetes, decide: local, silence: NotLocal,
			yes:    "the address is in a prefix of this node, or of a pod of it",
			covers: "addresses of the prefixes that a cluster gave to this node, and of its pods, see [kubernetes.md](kubernetes.md)",
		},
		Pods: {
			name: "pods", sources: []Source{Kernel, PodAddresses}, needs: Kubernetes, decide: local, silence: NotLocal,
			yes:    "a pod of this node has the address",
			covers: "addresses of this node's pods",
		},
		Services: {
			name: "services", sources: []Source{ServiceAddresses}, needs: Kubernetes, decide: allocated, silence: NotAllocated, elsewhere: NotOwner,
			yes:    "a service has the address, and this node answers for it",
			covers: "service addresses that this node owns",
		},
		File: {
			name: "file", sources: []Source{Listed, Kernel}, decide: listed, silence: NotListed,
			yes:    "the file of targets that the rule names lists the address",
			covers: "the addresses and prefixes that the file `targets` lists, see [below](#files-of-targets)",
		},
		Deny: {
			name: "deny", decide: nothing, silence: Denied,
			covers: "nothing",
		},
	}
}
