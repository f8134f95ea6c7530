// SPDX-License-Identifier: Apache-2.0

// Package discover fills in what a configuration leaves out: the uplinks, by the
// IPv6 default route, and the rules, by the on-link prefixes of the uplinks. In a
// cluster the rules are for its pods and services.
//
// It also makes rules of the templates of a configuration, which stand for the prefixes
// of each uplink ([Expand]), marks the rules whose conditions are not met ([Hold]), and
// says what is there and which configuration would answer where it makes no rule
// ([Overview], [Suggest]).
//
// It is pure: facts of the host come in as arguments, and nothing is read,
// written or kept. Package daemon calls it whenever links, routes, the cluster or
// the configuration change, and package inspect for the check command. Every
// function may be called from any goroutine.
//
// A discovered rule is a guess, so it has to be careful. It is made only for an
// uplink that the node forwards packets from, and it takes only evidence that is
// more specific than its prefix: the on-link route of that very prefix says
// nothing about where an address is, because a second interface on the same link
// has the same route.
package discover
