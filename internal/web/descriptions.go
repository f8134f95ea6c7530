// SPDX-License-Identifier: Apache-2.0

package web

import "github.com/prometheus/client_golang/prometheus"

// sourceConfiguration is the source label of rules, which need no evidence.
const sourceConfiguration = "configuration"

// descriptions are those of the metrics that are made at each scrape.
type descriptions struct {
	received, answered, ignored, sent, sendErrors                                                              *prometheus.Desc
	drops, redirected, conflicts, duration, probes, wrong                                                      *prometheus.Desc
	fastAnswers, fastInfo, fastLines, fastInherited, fastLost                                                  *prometheus.Desc
	entries, updates, groups, ready                                                                            *prometheus.Desc
	fileTargets, fileFaults, fileReadable                                                                      *prometheus.Desc
	reloadOK, reloadTime, build                                                                                *prometheus.Desc
	synced, lastEvent, held, requests, prefixSource                                                            *prometheus.Desc
	ownerChanges, serviceAddresses, owned, unowned, contested, unstable, announcers, frozen, standby, uncalled *prometheus.Desc

	all []described
}

// described is a metric with its documentation.
type described struct {
	desc *prometheus.Desc
	info MetricInfo
}

// MetricInfo documents one metric.
type MetricInfo struct {
	Name, Help string
	Labels     []string
}

// Metrics returns the documentation of all metrics of our own, in the order in
// which docs/metrics.md lists them.
func Metrics() []MetricInfo {
	var infos []MetricInfo
	for _, m := range newDescriptions().all {
		infos = append(infos, m.info)
	}
	return append(infos, MetricInfo{Name: updateDurationName, Help: updateDurationHelp})
}

func newDescriptions() *descriptions {
	var all []described
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := described{info: MetricInfo{Name: "ndproxyd_" + name, Help: help, Labels: labels}}
		d.desc = prometheus.NewDesc(d.info.Name, help, labels, nil)
		all = append(all, d)
		return d.desc
	}
	d := &descriptions{
		received:         desc("solicitations_received_total", "Solicitations that passed the socket's filter, invalid ones included, and those that a program in the kernel has answered. The kind is multicast, unicast, dad or presence; by the latter, daemons of other nodes ask whether this one is alive.", "interface", "kind"),
		answered:         desc("solicitations_answered_total", "Solicitations that were answered, by the packet socket and by a program in the kernel together.", "interface", "kind"),
		ignored:          desc("solicitations_ignored_total", "Solicitations that were not answered, by reason. docs/conformance.md explains each reason.", "interface", "reason"),
		sent:             desc("advertisements_sent_total", "Advertisements that the kernel accepted for sending. The kind is solicited, dad, presence or unsolicited.", "interface", "kind"),
		sendErrors:       desc("send_errors_total", "Advertisements that the kernel refused to send.", "interface"),
		drops:            desc("socket_drops_total", "Frames that the kernel dropped because the socket's ring was full.", "interface"),
		redirected:       desc("lladdr_mismatches_total", "Solicitations whose link-layer address option differs from their Ethernet source, as with virtual routers.", "interface"),
		conflicts:        desc("conflicts_total", "Addresses covered by a rule that another station seems to use, each counted at the first sign, and an address of a service when another station has answered for it. The status command lists those that are confirmed.", "interface"),
		duration:         desc("answer_duration_seconds", "Histogram of the time from reception by the kernel to handing over the answer. Answers of the kind presence are not in it, nor those of a program in the kernel.", "interface"),
		probes:           desc("probes_total", "Solicitations whose target had to be probed first. The result is answered, unanswered or refused.", "interface", "result"),
		fastAnswers:      desc("fast_path_answers_total", "The part of the answered solicitations that a program in the kernel has answered.", "interface", "kind"),
		fastInfo:         desc("fast_path_info", "The way that answers first in its labels: packet-socket, tc, xdp or xdp-generic, and where the program is attached. The value is always 1; there is none while nothing answers.", "interface", "way", "hook"),
		fastLines:        desc("fast_path_lines", "Lines of the program's table, 0 where the packet socket answers alone.", "interface"),
		fastInherited:    desc("fast_path_inherited", "Lines that an earlier daemon has left in the program's table, beside those of this one, and that the evidence of this one does not confirm yet.", "interface"),
		fastLost:         desc("fast_path_records_lost_total", "Answers of the program for which there was no room in what watch and explain show. They are counted all the same.", "interface"),
		wrong:            desc("misconfiguration", "1 while ndproxyd check warns of this, otherwise 0. What a firewall drops takes CAP_NET_ADMIN to see.", "interface", "reason"),
		entries:          desc("table_entries", "Rules by method (with the source configuration), and entries of each source of evidence: kernel routes, targets that answered a probe, the pods, node prefixes and services of Kubernetes, and files of targets.", "source", "method"),
		fileTargets:      desc("target_file_targets", "Addresses and prefixes of a file of targets that are in force.", "file"),
		fileFaults:       desc("target_file_faults", "Lines of a file of targets that do not count: what is no address or prefix, and what no rule with the file covers. ndproxyd check shows them.", "file"),
		fileReadable:     desc("target_file_readable", "1 if a file of targets could be read last, otherwise 0.", "file"),
		updates:          desc("table_updates_total", "Tables that were published."),
		groups:           desc("multicast_groups", "Multicast groups that were joined (mode join), and 1 while all-multicast is on (mode allmulti).", "interface", "mode"),
		ready:            desc("interface_ready", "1 while solicitations on the uplink are answered, otherwise 0.", "interface"),
		reloadOK:         desc("config_last_reload_successful", "1 if the last load of the configuration succeeded, otherwise 0."),
		reloadTime:       desc("config_last_reload_success_timestamp_seconds", "Time of the last successful load of the configuration."),
		synced:           desc("kubernetes_source_synced", "1 if objects of this kind have been listed since the start, otherwise 0. The metrics of Kubernetes exist only where it is used.", "source"),
		lastEvent:        desc("kubernetes_last_event_timestamp_seconds", "Time of the last sign of life of the API server: a list, a watch that it accepted, an event or a bookmark.", "source"),
		held:             desc("kubernetes_held_objects", "Objects that are kept for a minute although the last list does not have them.", "source"),
		requests:         desc("kubernetes_requests_total", "Requests to the API server. The kind is list or watch; renewals of the lease count as list.", "source", "kind"),
		prefixSource:     desc("node_prefix_source", "1 for the source that the node's prefixes are taken from.", "source"),
		ownerChanges:     desc("service_owner_changes_total", "Service addresses that moved from one node to another, as this node sees it."),
		unstable:         desc("service_addresses_unstable", "Service addresses whose owner has changed more than six times within half an hour, as this node sees it."),
		serviceAddresses: desc("service_addresses", "Addresses of the cluster's services that a rule covers, whichever node owns them."),
		owned:            desc("owned_addresses", "Service addresses that this node owns and answers for."),
		unowned:          desc("service_addresses_unowned", "Service addresses that no node answers for, as far as this node knows. Those that a Local policy leaves without an endpoint do not count."),
		contested:        desc("service_addresses_contested", "Service addresses that more than one node answers for, as far as this node knows."),
		announcers:       desc("announcers", "Nodes that share the service addresses among them, as this node sees it."),
		standby:          desc("ownership_standby", "1 while this node stands by because enough other nodes announce services, otherwise 0."),
		uncalled:         desc("service_addresses_uncalled", "Service addresses that nobody answers for because a Local policy leaves them to nodes that stand by, more of which than may be called in."),
		frozen:           desc("ownership_frozen", "1 while owners stay as they are because the API server cannot be reached, otherwise 0."),
		build:            desc("build_info", "The build of the program in its labels. The value is always 1.", "version", "revision", "goversion"),
	}
	d.all = all
	return d
}
