// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPU returns the processor time that the daemon has used so far.
func (d *Daemon) CPU() time.Duration {
	d.tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Process.Pid))
	Must(d.tb, err)
	// proc_pid_stat(5): the name is in parentheses; utime is the 14th field, stime
	// the 15th, in ticks of 10 ms.
	_, rest, _ := strings.Cut(string(b), ") ")
	var ticks time.Duration
	for _, field := range strings.Fields(rest)[11:13] {
		n, err := strconv.Atoi(field)
		Must(d.tb, err)
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// Resident returns the daemon's resident memory in KiB.
func (d *Daemon) Resident() int { return d.statusLine("VmRSS") }

// Threads returns the number of the daemon's threads.
func (d *Daemon) Threads() int { return d.statusLine("Threads") }

// statusLine returns a number of /proc/PID/status.
func (d *Daemon) statusLine(name string) int {
	d.tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Process.Pid))
	Must(d.tb, err)
	_, rest, ok := strings.Cut(string(b), name+":")
	if !ok {
		d.tb.Fatalf("no %s in /proc/%d/status", name, d.Process.Pid)
	}
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	Must(d.tb, err)
	return n
}

// Descriptors returns the number of the daemon's open files.
func (d *Daemon) Descriptors() int {
	d.tb.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Process.Pid))
	Must(d.tb, err)
	return len(entries)
}

// Ended reports whether the daemon has ended.
func (d *Daemon) Ended() bool {
	select {
	case state := <-d.exited:
		d.exited <- state
		return true
	default:
		return false
	}
}

// Gone reports whether a process has ended, also one whose parent has not asked for its
// exit code yet: the first process of a container may never do.
func Gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold anything
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}
