// SPDX-License-Identifier: Apache-2.0

package daemon

import "github.com/prometheus/client_golang/prometheus"

// sourceConfiguration is the source label of rules that need no evidence.
const sourceConfiguration = "configuration"

// descs are the descriptions of the metrics that are made at each scrape.
type descs struct {
	received, answered, ignored, sent, sendErrors                      *prometheus.Desc
	drops, redirected, conflicts, duration, probes, wrong              *prometheus.Desc
	entries, updates, groups, ready                                    *prometheus.Desc
	reloadOK, reloadTime, build                                        *prometheus.Desc
	synced, lastEvent, held, requests, prefixSource                    *prometheus.Desc
	ownerChanges, serviceAddresses, owned, announcers, frozen, standby *prometheus.Desc

	all []described
}

// described is a metric with what documents it.
type described struct {
	desc *prometheus.Desc
	info MetricInfo
}

// MetricInfo documents one metric.
type MetricInfo struct {
	Name, Help string
	Labels     []string
}

// Metrics returns all metrics of the daemon's own, in the order of the
// documentation.
func Metrics() []MetricInfo {
	var infos []MetricInfo
	for _, m := range newDescs().all {
		infos = append(infos, m.info)
	}
	return append(infos, MetricInfo{Name: updateDurationName, Help: updateDurationHelp})
}

func newDescs() *descs {
	var all []described
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := described{info: MetricInfo{Name: "ndproxyd_" + name, Help: help, Labels: labels}}
		d.desc = prometheus.NewDesc(d.info.Name, help, labels, nil)
		all = append(all, d)
		return d.desc
	}
	d := &descs{
		received:         desc("solicitations_received_total", "Solicitations that passed the socket's filter, also invalid ones; kind is multicast, unicast or dad.", "interface", "kind"),
		answered:         desc("solicitations_answered_total", "Solicitations that were answered.", "interface", "kind"),
		ignored:          desc("solicitations_ignored_total", "Solicitations that were not, by reason; docs/conformance.md explains each.", "interface", "reason"),
		sent:             desc("advertisements_sent_total", "Advertisements that the kernel took; kind is solicited, dad or unsolicited.", "interface", "kind"),
		sendErrors:       desc("send_errors_total", "Advertisements that the kernel refused.", "interface"),
		drops:            desc("socket_drops_total", "Frames that the kernel lost because the ring was full.", "interface"),
		redirected:       desc("lladdr_mismatches_total", "Solicitations that name another link-layer address than their Ethernet source, as a virtual router's do.", "interface"),
		conflicts:        desc("conflicts_total", "Claims of other stations to addresses that a rule covers; status lists those that stand.", "interface"),
		duration:         desc("answer_duration_seconds", "Histogram: reception by the kernel to hand-over of the answer.", "interface"),
		probes:           desc("probes_total", "Solicitations whose target had to be asked first; result is answered, unanswered or refused.", "interface", "result"),
		wrong:            desc("misconfiguration", "1 for each finding of ndproxyd check that holds.", "interface", "reason"),
		entries:          desc("table_entries", "Rules by method (source is configuration), and what is known from elsewhere: kernel routes, targets that answered a probe, and the pods, node prefixes and services of Kubernetes.", "source", "method"),
		updates:          desc("table_updates_total", "Tables published."),
		groups:           desc("multicast_groups", "Groups joined (join), and whether all-multicast is on (allmulti).", "interface", "mode"),
		ready:            desc("interface_ready", "Whether the uplink answers.", "interface"),
		reloadOK:         desc("config_last_reload_successful", "Whether the last load of the configuration succeeded."),
		reloadTime:       desc("config_last_reload_success_timestamp_seconds", "When the last successful one was."),
		synced:           desc("kubernetes_source_synced", "Whether a kind of object was listed since the start. The metrics of Kubernetes are there only with it.", "source"),
		lastEvent:        desc("kubernetes_last_event_timestamp_seconds", "When the API server was last heard of it: a list, a watch that it took, an event, a bookmark.", "source"),
		held:             desc("kubernetes_held_objects", "Objects that are kept although the last list lacks them, for a minute.", "source"),
		requests:         desc("kubernetes_requests_total", "Requests to the API server; renewals of the lease count as list.", "source", "kind"),
		prefixSource:     desc("node_prefix_source", "1 for the source of the node's prefixes that is taken.", "source"),
		ownerChanges:     desc("service_owner_changes_total", "Service addresses that went from one node to another, as this node sees it."),
		serviceAddresses: desc("service_addresses", "Addresses of the cluster's services that a rule covers, whoever owns them."),
		owned:            desc("owned_addresses", "Service addresses that this node answers for."),
		announcers:       desc("announcers", "Nodes that share the service addresses, as this node sees it."),
		standby:          desc("ownership_standby", "Whether enough other nodes announce, and this one knows nothing of services."),
		frozen:           desc("ownership_frozen", "Whether owners stay as they are since the API server is away."),
		build:            desc("build_info", "What was built; the value is 1.", "version", "revision", "goversion"),
	}
	d.all = all
	return d
}
