// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
)

// spread is the median of some figures with their minimum and maximum.
type spread struct{ min, median, max float64 }

// spreadOf returns that of what f takes of each round.
func spreadOf(rs []result, f func(result) float64) spread {
	var v []float64
	for _, r := range rs {
		v = append(v, f(r))
	}
	return spreadOfFigures(v)
}

func spreadOfFigures(v []float64) spread {
	v = slices.Sorted(slices.Values(v))
	return spread{v[0], v[len(v)/2], v[len(v)-1]}
}

// format writes it with a verb for each figure.
func (s spread) format(verb string) string {
	return fmt.Sprintf(verb+" ("+verb+"–"+verb+")", s.median, s.min, s.max)
}

// thousands writes it in thousands.
func (s spread) thousands() string {
	return spread{s.min / 1e3, s.median / 1e3, s.max / 1e3}.format("%.0f") + " k"
}

// table holds what was measured: the rounds of each system by its name.
type table map[string][]result

// ratio returns that of a figure of two systems, round by round, as the machine's
// speed drifts.
func (t table) ratio(a string, fa func(result) float64, b string, fb func(result) float64) spread {
	var v []float64
	for i, r := range t[a] {
		v = append(v, fa(r)/fb(t[b][i]))
	}
	return spreadOfFigures(v)
}

// What is taken of a round.
func answers(r result) float64          { return r.closed.answers }
func cpu(r result) float64              { return r.closed.cpu }
func frameAnswers(r result) float64     { return r.frames.answers }
func frameCPU(r result) float64         { return r.frames.cpu }
func floodAnswers(r result) float64     { return r.flood.answers }
func floodLoss(r result) float64        { return 100 * r.flood.loss }
func floodMedian(r result) float64      { return float64(r.flood.median) / 1e3 }
func lightMedian(r result) float64      { return float64(r.median) / 1e3 }
func memory(r result) float64           { return float64(r.memory) / 1024 }
func lossAt(i int) func(result) float64 { return func(r result) float64 { return 100 * r.loss[i] } }
