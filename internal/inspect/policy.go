// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// policy names the kernel's policy rules that are not followed: those that select by
// what only some of the packets have, such as their source or a mark that a firewall
// sets. It is for information, as such rules stand on a host for ever and most of them
// change nothing about where an address is.
func (c *collector) policy() {
	if !slices.ContainsFunc(c.Rules, func(r rules.Rule) bool { return r.Method == rules.Route || r.Method == rules.Probe }) {
		return
	}
	unsure := c.Routes.Policy()
	if len(unsure) == 0 {
		return
	}
	c.inform(reasonPolicy, "an address is answered for by the tables that the kernel asks for other packets, which have no mark and any source", `nothing has to be done, unless these rules send packets for addresses of the rules elsewhere; compare "ip -6 route get ADDRESS from SOURCE iif `+c.name+`" with "ndproxyd explain ADDRESS", and give the rules "table" if they differ`,
		"policy rules of the kernel are not followed: %s", strings.Join(unsure, "; "))
}
