// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/status"
)

// refusal finds the verb, the resource and its group in the sentence by which an API
// server refuses a request.
var refusal = regexp.MustCompile(`cannot (\w+) resource "([^"]+)" in API group "([^"]*)"`)

// Permissions returns a finding on each of the uplinks about what the account of this
// node may not read or write of the cluster; c is nil without Kubernetes. A request that
// was forbidden once is for information: an API server that starts forbids everything.
func Permissions(c *status.Cluster, uplinks []string) []Finding {
	if c == nil {
		return nil
	}
	missing := refused(c, func(s status.Source) bool { return s.NoPermission })
	unsure := refused(c, func(s status.Source) bool { return s.Forbidden && !s.NoPermission })
	var found []Finding
	for _, name := range uplinks {
		f := Finding{Interface: name, Reason: reasonPermission, Remedy: "grant the account what the table of permissions in docs/kubernetes.md lists for the rules, as the chart's role does"}
		if len(missing) > 0 {
			f := f
			f.Severity = Warning
			f.Problem = "the account of this node may not " + strings.Join(missing, ", and not ")
			f.Effect = "what these objects say does not count: rules that depend on them are silent, or answer without them, as docs/kubernetes.md says"
			found = append(found, f)
		}
		if len(unsure) > 0 {
			f.Severity = Info
			f.Problem = "the API server refused the account of this node the last time to " + strings.Join(unsure, ", and to ")
			f.Effect = "none yet: it counts as a missing permission when it lasts for a minute, as an API server that starts refuses everything"
			found = append(found, f)
		}
	}
	return found
}

// refused returns the requests of some sources that were refused, such as "list pods".
func refused(c *status.Cluster, counts func(status.Source) bool) []string {
	type object struct{ name, verbs string }
	var all []object
	for _, s := range c.Sources {
		if !counts(s) || c.PrefixSource != "" && ofPlugin(s) {
			continue
		}
		is := object{name: s.Source, verbs: "read"}
		if m := refusal.FindStringSubmatch(s.Fault); m != nil {
			is = object{name: m[2], verbs: m[1]}
			if m[3] != "" {
				is.name += "." + m[3]
			}
		}
		i := slices.IndexFunc(all, func(o object) bool { return o.name == is.name })
		switch {
		case i < 0:
			all = append(all, is)
		case !slices.Contains(strings.Split(all[i].verbs, " and "), is.verbs):
			all[i].verbs += " and " + is.verbs
		}
	}
	var words []string
	for _, o := range all {
		words = append(words, o.verbs+" "+o.name)
	}
	return words
}

// ofPlugin reports whether a source is one of the network plugins' objects. They do not
// matter where the node's prefixes are known by another source.
func ofPlugin(s status.Source) bool {
	return strings.Contains(s.Source, "blockaffinities") || strings.Contains(s.Source, "ciliumnodes")
}
