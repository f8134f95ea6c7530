// SPDX-License-Identifier: Apache-2.0

// Package docs finds the commands and files in the documentation, so that tests can
// run them. A block of shell says where: "sh host" on a host with systemd, "sh node"
// before ndproxyd is there, "sh cluster" beside a cluster, "sh repo" in this
// repository, "sh netfilter" where nftables is; with -end it runs last, with -check
// before that. A block "yaml file=PATH" is what PATH has from then on.
//
// In docs/recipes, "sh recipe" runs on the host of the page, "sh elsewhere" at the router,
// and for "sh product" the test stands in; a block of text behind one is what it prints.
package docs
