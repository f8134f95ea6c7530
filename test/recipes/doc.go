// SPDX-License-Identifier: Apache-2.0

// Package recipes plays the pages of docs/recipes from the first line to the last, each on
// a host of its own: a network namespace with a root of its own, which is the machine's
// root with the packages of the recipes and the page's files laid over it.
//
// A page's files are written there, its commands run there, and what they print is compared
// with what the page says. The commands of products that do not run here, such as Docker,
// have the tag "product": a function of the test stands in for each, makes the devices,
// addresses and routes that the product makes, and says so. WireGuard (in user space),
// OpenVPN and keepalived are the real programs.
//
// Behind every page, the router asks for the address and pings through to it.
package recipes
