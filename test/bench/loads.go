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
	window = 128 // solicitations outstanding in the closed loop
	// frameWindow is as many with XDP frames, which the kernel makes 64 at a time.
	frameWindow = 192
	closedTime  = 1200 * time.Millisecond
	warmTime    = 200 * time.Millisecond
	lightPPS    = 1000
	lightTime   = 1500 * time.Millisecond
	sweepTime   = 500 * time.Millisecond
	floodTime   = time.Second
	// lossWait is how long the closed loop waits before it takes what is
	// outstanding for lost.
	lossWait = 20 * time.Millisecond
	// endless is a rate that no generator reaches.
	endless = 1 << 40
)

// sweep are the rates at which losses are measured, in solicitations a second.
var sweep = []int{10_000, 50_000, 100_000, 200_000, 400_000, 800_000}

// speed is what a system reaches in a closed loop.
type speed struct {
	answers float64 // a second
	cpu     float64 // µs an answer, of the node as a whole
	daemon  float64 // µs an answer, of the daemon alone
}

// flood is what becomes of solicitations that come as fast as they can be made.
type flood struct {
	offered, answers float64 // a second
	loss             float64 // share
	median           time.Duration
}

// result is what one system reached in one round. What was not measured is 0.
type result struct {
	closed  speed
	frames  speed // with solicitations as XDP frames
	flood   flood
	offered []float64 // as the generator reached them, one for each rate of sweep
	loss    []float64 // shares
	median  time.Duration
	memory  int // KiB
}

// runner sends loads and counts answers.
type runner struct {
	sender *load.Sender
	judge  *judge
	frames *frames
	bed    *testbed
	seq    uint64
	daemon int // its process, 0 for none
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

// closed keeps the window full for a while.
func (r *runner) closed(d time.Duration) error {
	start, first := time.Now(), r.judge.count()
	sent, last, progress := uint64(0), first, start
	for {
		t := time.Now()
		if t.Sub(start) >= d {
			return nil
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
				return err
			}
			sent += uint64(room)
			continue
		}
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// closedFrames does the same with XDP frames.
func (r *runner) closedFrames(d time.Duration) error {
	var err error
	r.seq, err = r.frames.run(r.bed.router, r.judge, r.seq, d)
	return err
}

// speed returns what a closed loop reaches.
func (r *runner) speed(loop func(time.Duration) error) (speed, error) {
	if err := loop(warmTime); err != nil {
		return speed{}, err
	}
	first, start := r.judge.count(), time.Now()
	kernel, daemon, err := r.cpuTimes()
	if err != nil {
		return speed{}, err
	}
	if err := loop(closedTime); err != nil {
		return speed{}, err
	}
	took, answers := time.Since(start), float64(r.judge.count()-first)
	if answers == 0 {
		return speed{}, errors.New("the system answers nothing")
	}
	kernelThen, daemonThen, err := r.cpuTimes()
	own := float64(daemonThen-daemon) / 1e3 / answers
	return speed{answers: answers / took.Seconds(), cpu: float64(kernelThen-kernel)/1e3/answers + own, daemon: own}, err
}

// cpuTimes returns what the node's receive threads and the daemon ran for so far.
func (r *runner) cpuTimes() (kernel, daemon time.Duration, err error) {
	kernel, err = cpuTime(r.bed.nodeNAPI...)
	if err == nil && r.daemon > 0 {
		daemon, err = cpuTime(r.daemon)
	}
	return kernel, daemon, err
}

// open sends at a rate for a while.
func (r *runner) open(rate int, d time.Duration) (flood, error) {
	first := r.judge.count()
	start := time.Now()
	sent, elapsed := 0, time.Duration(0)
	for elapsed < d {
		if due := int(elapsed.Seconds()*float64(rate)) - sent; due > 0 {
			due = min(due, 64)
			if err := r.send(due); err != nil {
				return flood{}, err
			}
			sent += due
		} else {
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
		elapsed = time.Since(start)
	}
	time.Sleep(50 * time.Millisecond)
	last := r.judge.count()
	return flood{
		offered: float64(sent) / elapsed.Seconds(),
		answers: float64(last-first) / elapsed.Seconds(),
		loss:    1 - float64(last-first)/float64(sent),
		median:  median(r.judge.latencies(first, last)),
	}, nil
}

// measure puts the loads on a system: the closed loops alone on one whose size is
// what counts.
func (r *runner) measure(sized bool) (res result, err error) {
	if res.closed, err = r.speed(r.closed); err != nil {
		return res, err
	}
	if res.frames, err = r.speed(r.closedFrames); err != nil {
		return res, fmt.Errorf("XDP frames: %w", err)
	}
	if sized {
		return res, nil
	}
	err = r.bed.losesNothing(func() error { return r.measureLoss(&res) })
	return res, err
}

// measureLoss puts the loads with a rate on a system.
func (r *runner) measureLoss(res *result) (err error) {
	for _, rate := range sweep {
		got, err := r.open(rate, sweepTime)
		if err != nil {
			return err
		}
		res.offered, res.loss = append(res.offered, got.offered), append(res.loss, got.loss)
	}
	if res.flood, err = r.open(endless, floodTime); err != nil {
		return err
	}
	light, err := r.open(lightPPS, lightTime)
	res.median = light.median
	return err
}

// median returns that of durations, 0 for none.
func median(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[len(ds)/2]
}

func (r *runner) close() error {
	return errors.Join(r.frames.close(), r.sender.Close(), r.judge.close())
}

func (r result) String() string {
	s := fmt.Sprintf("%8.0f answers/s %6.2f µs (daemon %.2f) | XDP frames %8.0f/s %6.3f µs (daemon %.3f)",
		r.closed.answers, r.closed.cpu, r.closed.daemon, r.frames.answers, r.frames.cpu, r.frames.daemon)
	if r.loss == nil {
		return s
	}
	s += " | lost"
	for _, l := range r.loss {
		s += fmt.Sprintf(" %.1f", 100*l)
	}
	return s + fmt.Sprintf(" %% | flood of %.0f/s: %.0f answers/s, %.1f %% lost, %v | %v at %d/s | %.1f MiB",
		r.flood.offered, r.flood.answers, 100*r.flood.loss, r.flood.median, r.median, lightPPS, float64(r.memory)/1024)
}
