// SPDX-License-Identifier: Apache-2.0

// Command bench measures the daemon side by side with Debian's ndppd and with
// the kernel answering for an address of its own: the systems take turns in
// each round, on two processors, in network namespaces. It needs root.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

func main() {
	ndproxyd := flag.String("ndproxyd", "bin/ndproxyd", "the daemon to measure")
	ndppd := flag.String("ndppd", "ndppd", "Debian's ndppd")
	rounds := flag.Int("rounds", 5, "how often each system is measured")
	only := flag.String("only", "", "measure only the systems whose name contains this, and compare nothing")
	flag.Parse()
	if err := run(*ndproxyd, *ndppd, *only, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ndproxyd, ndppd, only string, rounds int) error {
	if runtime.NumCPU() < 2 {
		return fmt.Errorf("the testbed needs two processors, this machine has %d", runtime.NumCPU())
	}
	// The generator shares the router's processor with its receive thread.
	// Threads that Go starts later inherit the processor.
	runtime.LockOSThread()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := pin(tid, routerCPU); err != nil {
			return err
		}
	}
	all := slices.DeleteFunc(systems(ndproxyd, ndppd), func(s system) bool { return !strings.Contains(s.name, only) })
	results := make([][]result, len(all))
	for i := range rounds {
		for j, s := range all {
			res, err := s.round()
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Printf("round %d  %-24s %s\n", i+1, s.name, res)
			results[j] = append(results[j], res)
		}
	}
	report(all, results)
	if only == "" {
		compare(results)
	}
	return nil
}

// spread is the median of some figures with their minimum and maximum.
type spread struct{ min, median, max float64 }

func spreadOf(rs []result, f func(result) float64) spread {
	var v []float64
	for _, r := range rs {
		v = append(v, f(r))
	}
	slices.Sort(v)
	return spread{v[0], v[len(v)/2], v[len(v)-1]}
}

func (s spread) format(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median, s.min, s.max)
}

func report(all []system, results [][]result) {
	fmt.Printf("\nMedian (minimum–maximum) of %d rounds:\n\n", len(results[0]))
	fmt.Println("| system | answers/s, 128 outstanding | node CPU µs/answer | lost at 200,000/s, % | median at 1,000/s, µs | MiB |")
	fmt.Println("|---|---|---|---|---|---|")
	for i, s := range all {
		rs := results[i]
		latency := spreadOf(rs, func(r result) float64 { return float64(r.median) / 1e3 }).format("%.0f")
		if s.single {
			latency = "–"
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", s.name,
			spreadOf(rs, func(r result) float64 { return r.answersPerSecond }).format("%.0f"),
			spreadOf(rs, func(r result) float64 { return float64(r.cpuPerAnswer) / 1e3 }).format("%.2f"),
			spreadOf(rs, func(r result) float64 { return 100 * r.loss }).format("%.2f"),
			latency,
			spreadOf(rs, func(r result) float64 { return float64(r.memory) / 1024 }).format("%.1f"))
	}
}

// compare prints the ratios that the project has goals for, in the order of
// systems.
func compare(results [][]result) {
	const ours, many, ndppd, kernel = 0, 1, 2, 3
	ratio := func(a, b int, f func(result) float64) string {
		var v []result
		for i := range results[a] { // pair by pair, as the machine's speed drifts
			v = append(v, result{answersPerSecond: f(results[a][i]) / f(results[b][i])})
		}
		return spreadOf(v, func(r result) float64 { return r.answersPerSecond }).format("%.2f")
	}
	rate := func(r result) float64 { return r.answersPerSecond }
	cpu := func(r result) float64 { return float64(r.cpuPerAnswer) }
	fmt.Println("\nRatios, round by round:")
	fmt.Println()
	fmt.Printf("- answers/s to ndppd:               %s, goal at least 12\n", ratio(ours, ndppd, rate))
	fmt.Printf("- ndppd's CPU an answer to ours:    %s, goal at least 12\n", ratio(ndppd, ours, cpu))
	fmt.Printf("- answers/s to the kernel:          %s, goal at least 1.0\n", ratio(ours, kernel, rate))
	fmt.Printf("- 100,000 rules to one, answers/s:  %s, goal at least 0.5\n", ratio(many, ours, rate))
	fmt.Printf("- median latency to ndppd:          %s, goal at most 1.0\n", ratio(ours, ndppd, func(r result) float64 { return float64(r.median) }))
	fmt.Printf("- lost at 200,000/s:                %s %%, goal under 1\n", spreadOf(results[ours], func(r result) float64 { return 100 * r.loss }).format("%.2f"))
}
