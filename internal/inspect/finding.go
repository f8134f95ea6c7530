// SPDX-License-Identifier: Apache-2.0

package inspect

// Severity tells whether a finding is worth waking somebody up.
type Severity string

// The severities.
const (
	// Warning is for what costs service, or may: it sets the misconfiguration
	// metric, and thereby the alert.
	Warning Severity = "warning"
	// Info is for what is good to know while one looks for a fault. It is shown
	// by the check command and sets no metric, because it can be permanent on a
	// host that works.
	Info Severity = "info"
)

// Finding is one thing about the host that keeps answers from being of use.
type Finding struct {
	// Interface is the uplink, "" for a finding about the host as a whole.
	Interface string `json:"interface"`
	// Reason is the label of the misconfiguration metric.
	Reason   string   `json:"reason"`
	Severity Severity `json:"severity"`
	// Problem says what is wrong, Effect what follows from it as long as it
	// stays, and Remedy which command or setting puts it right. None of them ends
	// with a full stop.
	Problem string `json:"problem"`
	Effect  string `json:"effect"`
	Remedy  string `json:"remedy"`
	// Config is a configuration file that answers, "" where none is known.
	Config string `json:"config,omitempty"`
	// Logged is true where somebody else logs it, when it happens.
	Logged bool `json:"-"`
}

// The reasons of findings.
const (
	reasonForwarding = "forwarding_off"
	reasonAcceptRA   = "accept_ra"
	reasonProxy      = "kernel_proxy"
	reasonPort       = "bridge_port"
	reasonNoUplink   = "no_uplink"
	reasonNoRules    = "no_rules"
	reasonNoPrefix   = "no_prefix"
	reasonNotCovered = "not_covered"
	reasonOnLink     = "not_on_link"
	reasonNoRoute    = "no_route_behind"
	reasonIngress    = "ingress_filter"
	reasonSnooping   = "mld_snooping"
	reasonResponder  = "another_responder"
	reasonUnicast    = "unicast_errors"
	reasonPolicy     = "policy_rules"
	reasonSuppress   = "neigh_suppress"
	reasonReturn     = "no_return_route"
	reasonFirewall   = "firewall"
	reasonReverse    = "reverse_path"
	reasonDocker     = "docker_direct_routing"
	reasonShared     = "shared_prefix"
	reasonTargets    = "targets"
	reasonCilium     = "cilium"
	reasonTunnel     = "tunnel_on_link"
	reasonNodeName   = "node_name"
	reasonNamesake   = "node_name_shared"
	reasonPermission = "permission"
	reasonServer     = "api_server"
	reasonMasquerade = "masquerade"
	reasonLoops      = "service_loops"
	reasonFastPath   = "fast_path"
)

// Reasons lists the reasons that a warning about an uplink can have, which are
// the label values of the misconfiguration metric. Of the others unicast_errors,
// not_covered, policy_rules, cilium, masquerade and service_loops are information only,
// no_uplink and api_server are about the host, and targets is about a file, which has
// metrics of its own.
func Reasons() []string {
	return []string{
		reasonForwarding, reasonAcceptRA, reasonProxy, reasonPort, reasonNoRules, reasonNoPrefix, reasonOnLink, reasonNoRoute,
		reasonIngress, reasonSnooping, reasonResponder, reasonSuppress, reasonReturn, reasonFirewall,
		reasonReverse, reasonDocker, reasonShared, reasonTunnel, reasonNodeName, reasonNamesake,
		reasonPermission, reasonFastPath,
	}
}
