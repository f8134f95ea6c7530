// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/ndproxyd/ndproxyd/test/load"
)

// system is something that answers solicitations.
type system struct {
	name  string
	asked load.Options
	// sized is a system that shows what a large table costs, and gets the closed
	// loops alone.
	sized bool
	// command returns the command line of a daemon; nil for what needs none.
	command func(dir string) ([]string, error)
	// way is where the daemon's program has to be attached.
	way string
	// reflects attaches a reflector.
	reflects bool
	at       hook
}

// The ways of the daemon, as its setting fast_path names them.
const (
	off        = "off"
	tc         = "tc"
	xdp        = "xdp"
	xdpGeneric = "xdp-generic"
)

// The names of the systems that the goals compare.
const (
	socketName       = "ndproxyd, packet socket"
	tcName           = "ndproxyd, tc"
	xdpName          = "ndproxyd, XDP"
	xdpGenericName   = "ndproxyd, generic XDP"
	ndppdName        = "ndppd 0.2.5, static"
	kernelName       = "kernel, own address"
	tcReflectorName  = "bare reflector, tc"
	xdpReflectorName = "bare reflector, XDP"
)

const (
	manyPrefixes  = 100_000
	manyAddresses = 200_000
)

// sizedName names a system with a large table.
func sizedName(name, table string) string { return name + ", " + table }

const (
	prefixTable  = "100,000 prefixes"
	addressTable = "200,000 addresses"
)

// prefixes returns n prefixes of 64 bits, one after the other. The first is not
// on-link.
func prefixes(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 1, byte(i >> 16), byte(i >> 8), byte(i)}), 64)
	}
	return out
}

// systems returns them in the order of the tables.
func systems(ndproxyd, ndppd string) []system {
	one, many := load.Options{Prefixes: prefixes(1)}, load.Options{Prefixes: prefixes(manyPrefixes)}
	exact := load.Options{Prefixes: prefixes(1), Targets: manyAddresses}
	ours := func(name, way string, o load.Options, sized bool) system {
		return system{name: name, asked: o, sized: sized, way: way, command: func(dir string) ([]string, error) {
			path := filepath.Join(dir, "ndproxyd.yaml")
			return []string{ndproxyd, "run", "--config", path}, os.WriteFile(path, configuration(way, o), 0o600)
		}}
	}
	all := []system{
		ours(socketName, off, one, false),
		ours(tcName, tc, one, false),
		ours(xdpName, xdp, one, false),
		ours(xdpGenericName, xdpGeneric, one, false),
		{name: ndppdName, asked: one, command: func(dir string) ([]string, error) {
			path := filepath.Join(dir, "ndppd.conf")
			conf := fmt.Sprintf("proxy bench1 {\n router no\n ttl 30000\n rule %s { static }\n}\n", one.Prefixes[0])
			return []string{ndppd, "-c", path}, os.WriteFile(path, []byte(conf), 0o600)
		}},
		{name: kernelName, asked: load.Options{Prefixes: one.Prefixes, Single: true}},
		{name: tcReflectorName, asked: one, reflects: true, at: atTC},
		{name: xdpReflectorName, asked: one, reflects: true, at: atXDP},
	}
	for _, s := range []struct{ name, way string }{{socketName, off}, {tcName, tc}, {xdpName, xdp}} {
		all = append(all,
			ours(sizedName(s.name, prefixTable), s.way, many, true),
			ours(sizedName(s.name, addressTable), s.way, exact, true))
	}
	return all
}

// configuration is the daemon's file: a rule for each prefix, or for each address.
func configuration(way string, o load.Options) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nuplinks: [{interface: bench1, fast_path: %q}]\nrules:\n", way)
	for _, p := range o.Prefixes {
		if o.Targets == 0 {
			fmt.Fprintf(&b, "  - {prefix: %q, method: static}\n", p)
		}
	}
	for i := range o.Targets {
		fmt.Fprintf(&b, "  - {prefix: %q, method: static}\n", netip.PrefixFrom(o.Target(uint64(i)), 128))
	}
	return []byte(b.String())
}
