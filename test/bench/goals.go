// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
)

// goal is what the project wants of a figure.
type goal struct {
	what    string
	got     func(table) spread
	atLeast bool
	bound   float64
	verb    string
}

// goals returns them all.
func goals() []goal {
	ratio := func(a string, fa func(result) float64, b string, fb func(result) float64) func(table) spread {
		return func(t table) spread { return t.ratio(a, fa, b, fb) }
	}
	figure := func(name string, f func(result) float64) func(table) spread {
		return func(t table) spread { return spreadOf(t[name], f) }
	}
	least := func(bound float64, what string, got func(table) spread) goal {
		return goal{what: what, got: got, atLeast: true, bound: bound, verb: "%.2f"}
	}
	most := func(bound float64, verb, what string, got func(table) spread) goal {
		return goal{what: what, got: got, bound: bound, verb: verb}
	}
	all := []goal{
		least(1.8, "tc to the packet socket, answers/s", ratio(tcName, answers, socketName, answers)),
		least(12, "tc to ndppd, answers/s", ratio(tcName, answers, ndppdName, answers)),
		least(35, "XDP with XDP frames to ndppd, answers/s", ratio(xdpName, frameAnswers, ndppdName, answers)),
		least(80, "ndppd to XDP with XDP frames, CPU an answer", ratio(ndppdName, cpu, xdpName, frameCPU)),
		most(6, "%.1f", "flood, tc: lost, %", figure(tcName, floodLoss)),
		most(3, "%.1f", "flood, XDP: lost, %", figure(xdpName, floodLoss)),
		most(200, "%.0f", "flood, tc: median, µs", figure(tcName, floodMedian)),
		most(200, "%.0f", "flood, XDP: median, µs", figure(xdpName, floodMedian)),
		least(0.9, "tc to the bare reflector, answers/s", ratio(tcName, answers, tcReflectorName, answers)),
		least(0.9, "XDP to the bare reflector, answers/s", ratio(xdpName, answers, xdpReflectorName, answers)),
		least(0.9, "XDP to the bare reflector, XDP frames, answers/s", ratio(xdpName, frameAnswers, xdpReflectorName, frameAnswers)),
	}
	for _, name := range []string{tcName, xdpName} {
		all = append(all,
			least(0.6, name+": 100,000 prefixes to one, answers/s", ratio(sizedName(name, prefixTable), answers, name, answers)),
			least(0.6, name+": 200,000 addresses to one prefix, answers/s", ratio(sizedName(name, addressTable), answers, name, answers)),
			least(0.6, name+": 100,000 prefixes to one, XDP frames, answers/s", ratio(sizedName(name, prefixTable), frameAnswers, name, frameAnswers)),
			least(0.6, name+": 200,000 addresses to one prefix, XDP frames, answers/s", ratio(sizedName(name, addressTable), frameAnswers, name, frameAnswers)),
		)
	}
	return append(all,
		least(0.5, "packet socket: 100,000 prefixes to one, answers/s", ratio(sizedName(socketName, prefixTable), answers, socketName, answers)),
		least(1, "packet socket to the kernel's own address, answers/s", ratio(socketName, answers, kernelName, answers)),
		most(1, "%.2f", "packet socket to ndppd, median latency", ratio(socketName, lightMedian, ndppdName, lightMedian)),
	)
}

// met reports whether the median keeps the bound.
func (g goal) met(s spread) bool {
	if g.atLeast {
		return s.median >= g.bound
	}
	return s.median <= g.bound
}

// compare writes the goals beside what was reached.
func compare(w io.Writer, t table) {
	fmt.Fprintf(w, "\nRatios are taken round by round:\n\n")
	row(w, "", "reached", "goal", "")
	rule(w, 4)
	for _, g := range goals() {
		got, relation, verdict := g.got(t), "at most", "missed"
		if g.atLeast {
			relation = "at least"
		}
		if g.met(got) {
			verdict = "met"
		}
		row(w, g.what, got.format(g.verb), fmt.Sprintf("%s %v", relation, g.bound), verdict)
	}
}
