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
	// Values are what it takes, "" where that follows from the meaning.
	Values string
	// Default is what holds without it.
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
			Meaning: `source address of advertisements: the uplink's address in the asker's prefix, else link-local; always link-local; the target itself, where the provider drops link-local sources`,
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
			Meaning: `who hears that an address has appeared behind us: all nodes, all nodes and by a copy all routers (RFC 9131), nobody`,
		},
		{
			Name: `prime`, Values: "`none`, `solicit`, `dad`", Default: "`none`", Example: `none`,
			Meaning: `what else is sent then, in the name of the address: a solicitation of the default router, or what duplicate address detection would send, for links that keep unsolicited advertisements from the router`,
		},
		{
			Name: `consume_unicast`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: `keep the kernel from unicast solicitations for addresses of the rules, see below`,
		},
		{
			Name: `drop_loops`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: "drop packets for addresses of `services` and `static` rules that came in on the uplink and would go back out of it: no service proxy has taken them, and another node may send them back. By the same table, and with the same needs, as `consume_unicast`",
		},
		{
			Name: `socket`, Values: "`normal`, `early`", Default: "`normal`", Example: `normal`,
			Meaning: "`early` hears solicitations before programs at tc ingress and nftables' ingress hook can drop them",
		},
		{
			Name: `require_onlink_source`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: `ignore askers whose address is in none of the uplink's prefixes`,
		},
		{
			Name: `ignore_sources`, Values: `prefixes, addresses, MAC addresses`, Default: `none`, Example: `[]`,
			Meaning: `askers that get no answer. Filters of nftables do not see what ndproxyd answers`,
		},
		{
			Name: `limit_per_asker`, Values: `answers a second`, Default: "`0`, no limit", Example: `0`,
			Meaning: `how many one asker's MAC address gets in a second, and at once`,
		},
	}
}

// RuleKeys are those of an entry of rules.
func RuleKeys() []Key {
	return []Key{
		{
			Name: `prefix`, Values: `an IPv6 prefix or address`, Default: `required`, Example: `"2001:db8:1:0:f::/80"`,
			Meaning: `what the rule is about`,
		},
		{
			Name: `method`, Values: "`" + strings.Join(rules.MethodNames(), "`, `") + "`", Default: `required`, Example: `route`,
			Meaning: `the evidence that it takes to answer, see below`,
		},
		{
			Name: `uplinks`, Values: `interfaces`, Default: `all`, Example: `[eth0]`,
			Meaning: `where the rule holds`,
		},
		{
			Name: `delay`, Values: "`0s` to `1s`", Default: "`0s`", Example: `0s`,
			Meaning: `answer multicast solicitations after a random time up to this, where several proxies answer for the prefix (RFC 4861 §7.2.8)`,
		},
		{
			Name: `dad`, Values: "`defend`, `ignore`", Default: "`defend`", Example: `defend`,
			Meaning: `whether another station is kept from taking an address of the prefix as its own`,
		},
		{
			Name: `devices`, Values: `interfaces`, Default: `none`, Example: `[]`,
			Meaning: "`probe` only: ask on these devices, whatever the kernel's routes say. One that is missing has no targets. One without neighbor discovery, such as `tun0`, cannot be asked: what is routed to it is answered for as with `route`",
		},
		{
			Name: `autowire`, Values: "`true`, `false`", Default: "`false`", Example: `false`,
			Meaning: "with `devices`: make a host route to the device where a target has answered, while it does (needs `CAP_NET_ADMIN`; protocol number 73)",
		},
		{
			Name: `timeout`, Values: "`10ms` to `2s`", Default: "`500ms`", Example: `500ms`,
			Meaning: "`probe` only: how long the last solicitation of a target may stay unanswered",
		},
		{
			Name: `retries`, Values: `0 to 10`, Default: `3`, Example: `3`,
			Meaning: "`probe` only: how often a target is asked again, a second apart",
		},
		{
			Name: `ttl`, Values: "`1s` to `1h`", Default: "`30s`", Example: `30s`,
			Meaning: "`probe` only: when a target that has answered is asked again. It is answered for meanwhile",
		},
		{
			Name: `deadtime`, Values: "`0s` to `3s`", Default: "`3s`", Example: `3s`,
			Meaning: "`probe` only: how long a target that has not answered is not asked again",
		},
	}
}

// KubernetesKeys are those of kubernetes.
func KubernetesKeys() []Key {
	return []Key{
		{
			Name: `enabled`, Values: ``, Default: "`true`", Example: `true`,
			Meaning: "`false` turns Kubernetes off in a pod, where it is on without this section",
		},
		{
			Name: `kubeconfig`, Values: ``, Default: `the pod's service account`, Example: `/etc/ndproxyd/kubeconfig`,
			Meaning: `a file. Its certificates and token files are read again when they change`,
		},
		{
			Name: `server`, Values: ``, Default: `the kubeconfig's`, Example: `"https://[2001:db8::1]:6443"`,
			Meaning: "URL of the API server, for a node without the service `kubernetes`",
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
			Meaning: "`hash`: one node for each service address. `anycast`: every node, each after a random delay of up to a second. `all`: every node at once",
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
			Meaning: "where kube-proxy tells whether it is well; `\"\"` for no such question. One that never was is taken for another kind of proxy",
		},
		{
			Name: `snapshot`, Values: ``, Default: "`$STATE_DIRECTORY/state.json`, else `/var/lib/ndproxyd/state.json`", Example: `/var/lib/ndproxyd/state.json`,
			Meaning: "what outlives the process; `\"\"` for none",
		},
		{
			Name: `services.kinds`, Values: ``, Default: `all`, Example: `[cluster-ip, load-balancer, external-ip]`,
			Meaning: "of `cluster-ip`, `load-balancer`, `external-ip`",
		},
		{
			Name: `services.selector`, Values: ``, Default: `all services`, Example: `expose=yes`,
			Meaning: `a label selector`,
		},
		{
			Name: `services.load_balancer_classes`, Values: ``, Default: `all`, Example: `[""]`,
			Meaning: "classes whose load-balancer addresses count; `\"\"` is a service without one",
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
			Meaning: `a file with certificate and users, in the [format of Prometheus' exporters](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md). It is read again with each connection`,
		},
		{
			Name: `authentication`, Values: ``, Default: "`none`", Example: `none`,
			Meaning: "`kubernetes`: only for bearer tokens of accounts that may `get` the non-resource URL `/metrics`, by the API server's TokenReview and SubjectAccessReview. An answer is good for a minute; a permission for an hour while the API server is away. Without `web_config` there is TLS with a certificate that is made up at each start",
		},
	}
}

// HealthKeys are those of health.
func HealthKeys() []Key {
	return []Key{
		{
			Name: `listen`, Values: ``, Default: `none`, Example: `"[::1]:9973"`,
			Meaning: "another address with `/healthz` and `/readyz` alone, for a supervisor without credentials",
		},
	}
}
