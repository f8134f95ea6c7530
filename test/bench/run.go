// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/load"
)

// The loads.
const (
	window      = 128 // solicitations outstanding in the closed loop
	closedTime  = 1200 * time.Millisecond
	warmTime    = 200 * time.Millisecond
	overloadPPS = 200_000
	overload    = 800 * time.Millisecond
	lightPPS    = 1000
	light       = 1500 * time.Millisecond
	// lossWait is how long the closed loop waits before it takes what is
	// outstanding for lost.
	lossWait = 20 * time.Millisecond
)

// result is what one system reached in one round.
type result struct {
	answersPerSecond float64
	cpuPerAnswer     time.Duration // of the node as a whole
	loss             float64       // share of the overload that was not answered
	median           time.Duration // at the light load; 0 if not timed
	memory           int           // KiB
}

// runner sends loads and counts answers.
type runner struct {
	sender *load.Sender
	judge  *judge
	seq    uint64
	single bool
}

func now() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return uint64(ts.Nano())
}

func (r *runner) send(n int) error {
	n = min(n, load.Batch)
	r.judge.mark(r.seq, n, now())
	sent, err := r.sender.Send(r.seq, n)
	r.seq += uint64(sent)
	return err
}

// closed keeps the window full for a while and returns the answers.
func (r *runner) closed(d time.Duration) (uint64, error) {
	start, first := time.Now(), r.judge.count()
	sent, last, progress := uint64(0), first, start
	for {
		t := time.Now()
		if t.Sub(start) >= d {
			return r.judge.count() - first, nil
		}
		got := r.judge.count()
		if got != last {
			last, progress = got, t
		} else if t.Sub(progress) > lossWait {
			sent, progress = got-first, t // what is outstanding is lost
		}
		if room := window - int(int64(sent)-int64(got-first)); room >= window/4 {
			room = min(room, window)
			if err := r.send(room); err != nil {
				return 0, err
			}
			sent += uint64(room)
			continue
		}
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// open sends at a rate for a while and returns the share that was lost.
func (r *runner) open(rate int, d time.Duration) (float64, error) {
	first := r.judge.count()
	start := time.Now()
	sent := 0
	for {
		elapsed := time.Since(start)
		if elapsed >= d {
			break
		}
		if due := int(elapsed.Seconds()*float64(rate)) - sent; due > 0 {
			due = min(due, 64)
			if err := r.send(due); err != nil {
				return 0, err
			}
			sent += due
			continue
		}
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
	time.Sleep(50 * time.Millisecond)
	return 1 - float64(r.judge.count()-first)/float64(sent), nil
}

// measure puts all loads on a system whose processes are pids.
func (r *runner) measure(pids ...int) (result, error) {
	var res result
	if _, err := r.closed(warmTime); err != nil {
		return res, err
	}
	before, err := cpuTime(pids...)
	if err != nil {
		return res, err
	}
	answers, err := r.closed(closedTime)
	if err != nil {
		return res, err
	}
	if answers == 0 {
		return res, errors.New("the system answers nothing")
	}
	after, err := cpuTime(pids...)
	if err != nil {
		return res, err
	}
	res.answersPerSecond = float64(answers) / closedTime.Seconds()
	res.cpuPerAnswer = (after - before) / time.Duration(answers)
	if res.loss, err = r.open(overloadPPS, overload); err != nil {
		return res, err
	}
	from := r.judge.count()
	if _, err = r.open(lightPPS, light); err != nil {
		return res, err
	}
	if !r.single {
		res.median = median(r.judge.latencies(from, r.judge.count()))
	}
	return res, nil
}

func median(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[len(ds)/2]
}

func (r *runner) close() error {
	return errors.Join(r.sender.Close(), r.judge.close())
}

func (r result) String() string {
	return fmt.Sprintf("%8.0f answers/s  %6.2f µs CPU an answer  %5.2f %% lost at %d/s  median %v at %d/s  %.1f MiB",
		r.answersPerSecond, float64(r.cpuPerAnswer)/1e3, 100*r.loss, overloadPPS, r.median, lightPPS, float64(r.memory)/1024)
}
