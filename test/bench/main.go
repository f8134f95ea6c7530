// SPDX-License-Identifier: Apache-2.0

// Command bench measures the ways that the daemon answers side by side with Debian's
// ndppd, with the kernel answering for an address of its own, and with a program that
// answers without a look-up: the systems take turns in each round, on two processors,
// in network namespaces. It needs root.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
)

// options are the flags.
type options struct {
	ndproxyd, ndppd, plots, page string
	rounds                       int
	only                         *regexp.Regexp
}

func main() {
	var o options
	flag.StringVar(&o.ndproxyd, "ndproxyd", "bin/ndproxyd", "the daemon to measure")
	flag.StringVar(&o.ndppd, "ndppd", "ndppd", "Debian's ndppd")
	flag.StringVar(&o.plots, "plots", "", "the folder to write plots to")
	flag.StringVar(&o.page, "page", "", "the page whose tables to replace")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each system is measured")
	only := flag.String("only", "", "measure only the systems whose name matches this regular expression, and compare nothing")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
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
	all := slices.DeleteFunc(systems(o.ndproxyd, o.ndppd), func(s system) bool { return !o.only.MatchString(s.name) })
	t := make(table)
	for i := range o.rounds {
		for _, s := range all {
			res, err := s.round()
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Printf("round %d  %-40s %s\n", i+1, s.name, res)
			t[s.name] = append(t[s.name], res)
		}
	}
	var tables bytes.Buffer
	report(&tables, all, t)
	whole := o.only.String() == ""
	if whole {
		compare(&tables, t)
	}
	fmt.Print(tables.String())
	if !whole {
		return nil
	}
	if o.page != "" {
		if err := write(o.page, tables.Bytes()); err != nil {
			return err
		}
	}
	if o.plots != "" {
		return plot(o.plots, all, t)
	}
	return nil
}
