// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Key describes a key of the configuration file, in Markdown. The tables of
// docs/configuration.md and docs/kubernetes.md, the manual page and the commented
// file of the packages are made of these.
type Key struct {
	Name string
	// Values are the possible values, "" if the meaning says them.
	Values string
	// Default is the value without the key.
	Default string
	// Example is a value in YAML.
	Example string
	Meaning string
}

// UplinkKeys are those of an entry of uplinks.
func UplinkKeys() []Key {
	return []Key{
		{
			Name: `interface`, Values: `a name`, Default: `required`, Example: `eth0`,
			Meaning: `the interface that faces the router. It may be missing at the start; it must be Ethernet, and not a port of a bridge or a bond`,
		},
		{
			Name: `source`, Values: "`auto`, `link-local`, `target`", Default: "`auto`", Example: `auto`,
			Meaning: "the source address of advertisements. `auto`: the uplink's address in the asker's prefix, else link-local. `link-local`: always link-local. `target`: the target itself, for providers that drop link-local sources",
		},
		{
			Name: `membership`, Values: "`auto`, `join`, `allmulti`, `none`", Default: "`auto`", Example: `auto`,
			Meaning: `how multicast solicitations arrive, see below`,
		},
		{
			Name: `router`, Values: "`auto`, `true`, `false`", Default: "`auto`", Example: `auto`,
			Meaning: "the R flag of advertisements; `auto` follows `net.ipv6.conf.IF.forwarding`",
		},
		{
			Name: `gratuitous`, Values: "`nodes`, `routers`, `none`", Default: "`nodes`", Example: `nodes`,
			Meaning: "who is told that an address has appeared behind this node. `nodes`: all nodes. `routers`: all nodes, and all routers by a copy (RFC 9131). `none`: nobody",
		},
		{
			Name: `reannounce`, Values: "`10s` to `24h`, `0s`", Default: "`0s`, never", Example: `0s`,
			Meaning: "how often the addresses that are announced are announced again, for switches and routers that lose the first announcements, see below",
		},
		{
			Name: `prime`, Values: "`none`, `solicit`, `dad`", Default: "`none`", Example: `none`,
			Meaning: "what else is sent for such an address, in its name, on links that keep unsolicited advertisements from the router. `solicit`: a solicitation of the default router. `dad`: what duplicate address detection would send",
		},
		{
			Name: `consume_unicast`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: `keep unicast solicitations for addresses of the rules from the kernel, see below`,
		},
		{
			Name: `drop_loops`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: "drop packets for addresses of `services` and `static` rules that arrived on the uplink and would leave by it: no service proxy has taken them, and another node may send them back. Uses the same table as `consume_unicast`, and needs the same privilege",
		},
		{
			Name: `socket`, Values: "`normal`, `early`", Default: "`normal`", Example: `normal`,
			Meaning: "with `early` the daemon receives solicitations before programs at tc ingress and nftables' ingress hook can drop them",
		},
		{
			Name: `fast_path`, Values: "`" + strings.Join(rules.FastPathModeNames(), "`, `") + "`", Default: "`auto`", Example: `auto`,
			Meaning: "what answers before the packet socket. `auto`: a program of the kernel at tc ingress, where the daemon may load one. `off`: nothing. `tc`: that program, with a warning where it cannot be had. `xdp`, `xdp-generic`: the program in the device's driver, or behind any driver; else at tc ingress, with a warning. See [answers in the kernel](#answers-in-the-kernel)",
		},
		{
			Name: `fast_path_hold`, Values: "`1s` to `1h`", Default: "`1m`", Example: `1m`,
			Meaning: "how long the program goes on answering after the last sign of life of a daemon that has ended without a word, see [answers in the kernel](#answers-in-the-kernel)",
		},
		{
			Name: `require_onlink_source`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: `ignore askers whose address is in none of the uplink's prefixes`,
		},
		{
			Name: `ignore_sources`, Values: `prefixes, addresses, MAC addresses`, Default: `none`, Example: `[]`,
			Meaning: `askers that get no answer. Rules of nftables cannot do this, because they do not see what ndproxyd receives and sends`,
		},
		{
			Name: `limit_per_asker`, Values: `answers a second`, Default: "`0`, no limit", Example: `0`,
			Meaning: `how many answers an asker gets in a second, and at once. An asker is a source address together with a MAC address; for next hops and duplicate address detection the limit holds for each target`,
		},
	}
}

// RuleKeys are those of an entry of rules.
func RuleKeys() []Key {
	return []Key{
		{
			Name: `prefix`, Values: "a prefix or address; `uplink` or a part of it like `uplink/64:f::/80`", Default: `required`, Example: `"2001:db8:1:0:f::/80"`,
			Meaning: "the addresses that the rule covers. `uplink` stands for the prefixes of the uplink, and follows them as they change, see below",
		},
		{
			Name: `method`, Values: "`" + strings.Join(rules.MethodNames(), "`, `") + "`", Default: `required`, Example: `route`,
			Meaning: `which evidence is needed for an answer, see below`,
		},
		{
			Name: `uplinks`, Values: `interfaces`, Default: `all`, Example: `[eth0]`,
			Meaning: `the uplinks that the rule holds on`,
		},
		{
			Name: `delay`, Values: "`0s` to `1s`", Default: "`0s`", Example: `0s`,
			Meaning: `the longest random delay before a multicast solicitation is answered, for prefixes that several proxies answer for (RFC 4861 §7.2.8)`,
		},
		{
			Name: `dad`, Values: "`defend`, `ignore`", Default: "`ignore` where the prefix covers an on-link prefix of the uplink, else `defend`", Example: `defend`,
			Meaning: "whether duplicate address detection is answered. `defend` keeps other stations from taking an address of the prefix as their own. By default a host route behind the node, a probed target, an address of the host itself, a pod and a service address are defended in either case, see [sharing a prefix with the link](sharing.md)",
		},
		{
			Name: `while`, Values: "`address`, `interface`", Default: `always`, Example: `{address: "2001:db8:1::5"}`,
			Meaning: "the rule holds only while a device of the host has the `address`, and while the `interface` is up; of both, all have to be met. For pairs of hosts of which one is in charge, see below",
		},
		{
			Name: `devices`, Values: `interfaces`, Default: `none`, Example: `[]`,
			Meaning: "only these devices count. With `route`: answer for what the kernel routes to them, whatever their kind, and for nothing else. With `probe`: ask on them, whatever the kernel's routes say; on a device without neighbor discovery, such as `wg0` or `tun0`, targets cannot be asked, and what is routed to it is answered for as with `route`. A device that is missing has no targets",
		},
		{
			Name: `kinds`, Values: "any of `load-balancer`, `external-ip`, `cluster-ip`", Default: "`services.kinds` of [kubernetes](kubernetes.md), else the first two, and `cluster-ip` where the prefix is (a part of) what the cluster allocates cluster IPs from", Example: `[load-balancer, external-ip]`,
			Meaning: "`services` only: which addresses of services the rule answers for",
		},
		{
			Name: `own_addresses`, Values: "`true`, `false`", Default: "`true`", Example: `true`,
			Meaning: "`route` and `probe` only: whether to answer for what this host itself has, see below",
		},
		{
			Name: `table`, Values: "a number, `main`, `local`, `default`, or a name of `/etc/iproute2/rt_tables`", Default: `the tables for packets from the uplink`, Example: `main`,
			Meaning: "`route` and `probe` only: the one routing table to ask, whatever the policy rules and the uplink's VRF say, see below",
		},
		{
			Name: `targets`, Values: `a path`, Default: `required by` + " `file`", Example: `/etc/ndproxyd/targets`,
			Meaning: "`file` only: the file that lists the targets, see below. It is followed as it changes",
		},
		{
			Name: `autowire`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: "`probe` with `devices`: keep a host route for each target to the device on which it answers (needs `CAP_NET_ADMIN`; protocol number 73)",
		},
		{
			Name: `timeout`, Values: "`10ms` to `2s`", Default: "`500ms`", Example: `500ms`,
			Meaning: "`probe` only: how long an answer to the last solicitation of a target is waited for",
		},
		{
			Name: `retries`, Values: `0 to 10`, Default: `3`, Example: `3`,
			Meaning: "`probe` only: how often a target is asked again, a second apart",
		},
		{
			Name: `ttl`, Values: "`1s` to `1h`", Default: "`30s`", Example: `30s`,
			Meaning: "`probe` only: after which time a target that has answered is asked again. It is answered for in the meantime",
		},
		{
			Name: `deadtime`, Values: "`0s` to `3s`", Default: "`3s`", Example: `3s`,
			Meaning: "`probe` only: how long a target that has not answered is left alone before it is asked again",
		},
	}
}

// FastPathKeys are those of the file as a whole about programs in the kernel.
func FastPathKeys() []Key {
	return []Key{
		{
			Name: `fast_path_directory`, Values: `an absolute path`, Default: "`" + DefaultFastPathDirectory + "`", Example: DefaultFastPathDirectory,
			Meaning: "a directory in a bpffs, which keeps the programs that answer in the kernel while no daemon runs. It is made if need be. A change counts from the next start of the daemon on",
		},
	}
}

// DeviceKeys are those of an entry of devices.
func DeviceKeys() []Key {
	return []Key{
		{
			Name: `name`, Values: "a name, or its beginning and `*`", Default: "required, or `kind`", Example: `"wg*"`,
			Meaning: `the devices of that name. A name goes before a kind`,
		},
		{
			Name: `kind`, Values: "a kind, as `ip -d link` shows it", Default: "required, or `name`", Example: `wireguard`,
			Meaning: `the devices of that kind`,
		},
		{
			Name: `leads`, Values: "`" + strings.Join(rules.LeadsNames(), "`, `") + "`", Default: `required`, Example: `behind`,
			Meaning: "where the routes through these devices lead. `behind`: behind this host. `elsewhere`: to other hosts, which answer for themselves. `on-link`: behind this host for what is on-link there, and to other hosts by next hops",
		},
	}
}

// KubernetesKeys are those of kubernetes.
func KubernetesKeys() []Key {
	return []Key{
		{
			Name: `enabled`, Values: ``, Default: "`true`", Example: `true`,
			Meaning: "`false` turns Kubernetes off. In a pod it is on even without this section",
		},
		{
			Name: `kubeconfig`, Values: ``, Default: `the pod's service account`, Example: `/etc/ndproxyd/kubeconfig`,
			Meaning: `a kubeconfig file. Its certificates and token files are read again when they change`,
		},
		{
			Name: `server`, Values: ``, Default: `the kubeconfig's`, Example: `"https://[2001:db8::1]:6443"`,
			Meaning: "the URL of the API server, for a node on which the service `kubernetes` does not work",
		},
		{
			Name: `node`, Values: ``, Default: "`$NODE_NAME`, then the host name", Example: `node1`,
			Meaning: `the name of the Node`,
		},
		{
			Name: `namespace`, Values: ``, Default: "the pod's, else `ndproxyd`", Example: `ndproxyd`,
			Meaning: `where the announcers' leases are`,
		},
		{
			Name: `ownership`, Values: ``, Default: "`hash`", Example: `hash`,
			Meaning: "which node answers for a service address. `hash`: its owner. `anycast`: every node, each after a random delay of up to a second. `all`: every node, at once",
		},
		{
			Name: `weight`, Values: ``, Default: "`1`", Example: `1`,
			Meaning: `this node's share of the service addresses, 1 to 16`,
		},
		{
			Name: `settle`, Values: ``, Default: "`1m`", Example: `1m`,
			Meaning: `how long a node that has returned waits before it takes its addresses back`,
		},
		{
			Name: `service_proxy_health`, Values: ``, Default: "`http://localhost:10256/healthz`", Example: `http://localhost:10256/healthz`,
			Meaning: "the URL at which kube-proxy reports its health; `\"\"` to ask nobody. If the URL has never answered, as far back as the snapshot goes, the node is taken to have another kind of service proxy: set `\"\"` after kube-proxy was replaced by one",
		},
		{
			Name: `prefix_source`, Values: ``, Default: `the one in force`, Example: `calico`,
			Meaning: "where `node` reads the prefixes of this node: `calico`, `cilium`, `ovn-kubernetes`, `kube-router` or `pod-cidrs`. Without it, what another network plugin has left behind does not count, as far as that can be seen",
		},
		{
			Name: `snapshot`, Values: ``, Default: "`$STATE_DIRECTORY/state.json`, else `/var/lib/ndproxyd/state.json`", Example: `/var/lib/ndproxyd/state.json`,
			Meaning: "the file that keeps what is known across restarts; `\"\"` for none",
		},
		{
			Name: `services.kinds`, Values: ``, Default: "see [kinds of addresses](#kinds-of-addresses)", Example: `[load-balancer, external-ip]`,
			Meaning: "which addresses of services rules without `kinds` answer for: any of `cluster-ip`, `load-balancer`, `external-ip`",
		},
		{
			Name: `services.selector`, Values: ``, Default: `all services`, Example: `expose=yes`,
			Meaning: `a label selector for services`,
		},
		{
			Name: `services.load_balancer_classes`, Values: ``, Default: `all`, Example: `[""]`,
			Meaning: "the classes whose load-balancer addresses count; `\"\"` stands for services without a class",
		},
	}
}

// MetricsKeys are those of metrics.
func MetricsKeys() []Key {
	return []Key{
		{
			Name: `listen`, Values: ``, Default: "`[::1]:9972`", Example: `"[::1]:9972"`,
			Meaning: "an address with a port, `\"\"` for none. A node's addresses are often public; the default is the loopback interface",
		},
		{
			Name: `web_config`, Values: ``, Default: `none`, Example: `/etc/ndproxyd/web.yaml`,
			Meaning: `a file with a certificate and users, in the [format of Prometheus' exporters](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md). It is read again for each connection`,
		},
		{
			Name: `authentication`, Values: ``, Default: "`none`", Example: `none`,
			Meaning: "`kubernetes` serves only bearer tokens of accounts that may `get` the non-resource URL `/metrics`, according to the API server's TokenReview and SubjectAccessReview. A review holds for a minute, and a permission for an hour while the API server is away. Without `web_config`, TLS uses a certificate that is made at each start",
		},
	}
}

// HealthKeys are those of health.
func HealthKeys() []Key {
	return []Key{
		{
			Name: `listen`, Values: ``, Default: `none`, Example: `"[::1]:9973"`,
			Meaning: "another address that serves only `/healthz` and `/readyz`, for probes without credentials",
		},
		{
			Name: `ready_without_uplink`, Values: ``, Default: "`false`", Example: `false`,
			Meaning: "`true`: `/readyz` has status 200, too, where there is nothing to answer on: no interface has an IPv6 default route, or the uplinks of the configuration do not exist or have no IPv6",
		},
	}
}
