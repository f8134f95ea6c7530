// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// exampleWidth is where the comments of the example wrap.
const exampleWidth = 78

// exampleHead begins the commented file.
const exampleHead = `# Configuration of ndproxyd; see ndproxyd.yaml(5). Comments show each key with its
# default or an example. Without changes to this file, ndproxyd answers on the
# interfaces with an IPv6 default route, for what the kernel routes behind this
# host. "ndproxyd check" checks this file and the host and changes nothing;
# "systemctl reload ndproxyd" applies a changed file.
version: 1
`

// Example is a configuration file with every key in a comment.
func Example() string {
	var b strings.Builder
	b.WriteString(exampleHead)
	list := func(name, what string, keys []config.Key) {
		fmt.Fprintf(&b, "\n# %s\n#%s:\n", what, name)
		for i, k := range keys {
			lead := "    "
			if i == 0 {
				lead = "  - "
			}
			comment(&b, "#   #", k)
			fmt.Fprintf(&b, "#%s%s: %s\n", lead, k.Name, k.Example)
		}
	}
	section := func(name, what string, keys []config.Key) {
		fmt.Fprintf(&b, "\n# %s\n#%s:\n", what, name)
		inside := ""
		for _, k := range keys {
			comment(&b, "#   #", k)
			indent, key := "  ", k.Name
			if outer, inner, ok := strings.Cut(k.Name, "."); ok {
				if inside != outer {
					fmt.Fprintf(&b, "#  %s:\n", outer)
				}
				inside, indent, key = outer, "    ", inner
			}
			fmt.Fprintf(&b, "#%s%s: %s\n", indent, key, k.Example)
		}
	}
	single := func(k config.Key) {
		b.WriteByte('\n')
		comment(&b, "#", k)
		fmt.Fprintf(&b, "#%s: %s\n", k.Name, k.Example)
	}
	list("uplinks", "Interfaces that face the router. Default: those with an IPv6 default route.", config.UplinkKeys())
	list("rules", "What may be answered. Default: what the kernel routes to devices behind this host.", config.RuleKeys())
	list("devices", "Where routes through devices lead. Default: behind this host; on a node of a cluster, tunnels lead elsewhere.", config.DeviceKeys())
	section("kubernetes", "The cluster that this host is a node of. Default: none, unless in a pod.", config.KubernetesKeys())
	section("metrics", "Metrics, health and readiness.", config.MetricsKeys())
	section("health", "Health and readiness on an address of their own.", config.HealthKeys())
	for _, k := range config.FastPathKeys() {
		single(k)
	}
	return b.String()
}

// link finds a link of Markdown.
var link = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)

// comment writes what a key means, wrapped. Each line begins with lead.
func comment(b *strings.Builder, lead string, k config.Key) {
	text := k.Meaning
	if k.Values != "" {
		text = k.Values + ": " + text
	}
	text = strings.ReplaceAll(text, "see below", "see ndproxyd.yaml(5)")
	text = strings.ReplaceAll(link.ReplaceAllString(text, "$1 ($2)"), "`", "")
	line := lead
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > exampleWidth {
			fmt.Fprintln(b, line)
			line = lead
		}
		line += " " + word
	}
	fmt.Fprintln(b, line)
}
