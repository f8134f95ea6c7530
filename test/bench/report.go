// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
)

// report writes the tables of all systems in Markdown.
func report(w io.Writer, all []system, t table) {
	fmt.Fprintf(w, "\nMedian (minimum–maximum) of %d rounds; µs are the node's processor time an answer:\n\n", len(t[all[0].name]))
	row(w, "system", "answers/s", "to the socket", "to ndppd", "µs", "of it the daemon", "XDP frames: answers/s", "µs", "MiB")
	rule(w, 9)
	for _, s := range all {
		row(w, s.name,
			spreadOf(t[s.name], answers).thousands(),
			t.ratioTo(s.name, socketName), t.ratioTo(s.name, ndppdName),
			spreadOf(t[s.name], cpu).format("%.2f"),
			s.daemons(spreadOf(t[s.name], func(r result) float64 { return r.closed.daemon }).format("%.2f")),
			spreadOf(t[s.name], frameAnswers).thousands(),
			spreadOf(t[s.name], frameCPU).format("%.3f"),
			s.daemons(spreadOf(t[s.name], memory).format("%.0f")))
	}
	fmt.Fprintf(w, "\nAt a rate, and under a flood:\n\n")
	titles := []string{"system", fmt.Sprintf("%d/s: median, µs", lightPPS)}
	for _, rate := range sweep {
		titles = append(titles, fmt.Sprintf("%d k/s: lost, %%", rate/1000))
	}
	titles = append(titles, "flood: answers/s", "lost, %", "median, µs")
	row(w, titles...)
	rule(w, len(titles))
	for _, s := range all {
		if s.sized {
			continue
		}
		cells := []string{s.name, s.timed(spreadOf(t[s.name], lightMedian).format("%.0f"))}
		for i := range sweep {
			cells = append(cells, spreadOf(t[s.name], lossAt(i)).format("%.1f"))
		}
		row(w, append(cells,
			spreadOf(t[s.name], floodAnswers).thousands(),
			spreadOf(t[s.name], floodLoss).format("%.1f"),
			s.timed(spreadOf(t[s.name], floodMedian).format("%.0f")))...)
	}
}

// ratioTo writes how many times another system's answers a system gives, if both were
// measured.
func (t table) ratioTo(name, other string) string {
	if len(t[other]) == 0 || name == other {
		return "–"
	}
	return t.ratio(name, answers, other, answers).format("%.2f")
}

// daemons writes what only a daemon has.
func (s *system) daemons(cell string) string {
	if s.command == nil {
		return "–"
	}
	return cell
}

// timed writes a latency, which answers for one target alone do not have.
func (s *system) timed(cell string) string {
	if s.asked.Single {
		return "–"
	}
	return cell
}

func row(w io.Writer, cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

func rule(w io.Writer, columns int) { fmt.Fprintf(w, "|%s\n", strings.Repeat("---|", columns)) }
