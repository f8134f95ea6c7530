// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// poll is how often a file is looked at although nobody tells that it has
	// changed: on a network file system, or where inotify has reached its limits,
	// nobody does.
	poll = 5 * time.Second
	// debounce is how long events are gathered before the file is read. It grows to
	// debounceFactor times what the last reading took.
	debounce       = 50 * time.Millisecond
	debounceFactor = 4
	// tornRetries is how often a file is read again at once because it was written to
	// meanwhile, each time after debounce.
	tornRetries = 3
	// tick bounds how coarse the times of file systems are. A file that was read so
	// soon after its last change is read again, although its times are the same.
	tick = 2 * time.Second
	// logEvery and logBurst bound how often the faults of a file are logged.
	logEvery = time.Minute
	logBurst = 5
)

// followed is one file that is followed by a goroutine of its own.
type followed struct {
	follower *Follower
	path     string
	first    chan struct{} // closed after the first reading
	wake     chan struct{} // holds one
	facts    atomic.Pointer[File]

	mu       sync.Mutex
	writing  writing
	dirty    bool // somebody has told that it may have changed
	prefixes []netip.Prefix

	publishing sync.Mutex // while entries change
	ended      bool

	// The rest belongs to run.
	file      file
	stamp     stamp
	read      time.Time     // when it was read last
	took      time.Duration // what that took
	unwatched bool
	logged    string // the fault that was logged last
	logs      *rate.Limiter
	// explained is what facts were made for.
	explained struct {
		prefixes []netip.Prefix
		settled  bool
	}
}

func newFollowed(f *Follower, path string) *followed {
	return &followed{follower: f, path: path, first: make(chan struct{}), wake: make(chan struct{}, 1), logs: rate.NewLimiter(rate.Every(logEvery), logBurst)}
}

// changed tells that the file may have changed.
func (x *followed) changed(w writing) {
	x.mu.Lock()
	if x.dirty = true; w != unknown {
		x.writing = w
	}
	x.mu.Unlock()
	x.poke()
}

// setPrefixes tells which rules name the file.
func (x *followed) setPrefixes(prefixes []netip.Prefix) {
	x.mu.Lock()
	same := slices.Equal(x.prefixes, prefixes)
	x.prefixes = prefixes
	x.mu.Unlock()
	if !same {
		x.poke()
	}
}

func (x *followed) poke() {
	select {
	case x.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// run follows the file until ctx ends.
func (x *followed) run(ctx context.Context) {
	for {
		x.look(ctx)
		next := poll
		if at, ok := x.file.again(time.Now()); ok {
			next = min(next, max(0, time.Until(at)))
		}
		if !wait(ctx, next, x.wake) || !wait(ctx, max(debounce, debounceFactor*x.took), nil) {
			return
		}
	}
}

// wait returns false when ctx has ended. It does not wait for longer than until wake.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-t.C:
	}
	return true
}

// look reads the file if it may have changed, and puts in force what counts of it.
func (x *followed) look(ctx context.Context) {
	x.mu.Lock()
	dirty := x.dirty
	x.dirty = false
	x.mu.Unlock()
	begin := time.Now()
	changed, read := false, dirty || x.stale()
	if read {
		changed = x.reread(ctx, dirty)
	} else {
		changed = x.file.decide(begin)
	}
	if ctx.Err() != nil {
		return
	}
	if changed {
		x.publish(begin)
	}
	x.explain(changed || read)
	x.report()
	select {
	case <-x.first:
	default:
		close(x.first)
	}
}

// explain makes the facts anew where they may differ.
func (x *followed) explain(changed bool) {
	x.mu.Lock()
	prefixes := x.prefixes
	x.mu.Unlock()
	now := time.Now()
	settled := x.file.settled(now)
	if !changed && settled == x.explained.settled && slices.Equal(prefixes, x.explained.prefixes) {
		return
	}
	x.explained.settled, x.explained.prefixes = settled, prefixes
	facts := x.file.facts(x.path, prefixes, now)
	x.facts.Store(&facts)
}

// stale reports whether the file has to be read although nobody tells so.
func (x *followed) stale() bool {
	if x.unwatched {
		x.watch()
	}
	now, err := x.follower.source.stat(x.path)
	return err != nil || x.file.err != nil || !x.file.known || now != x.stamp || x.read.Sub(now.modified).Abs() < tick
}

// reread reads the file, and reports whether the targets in force change by that. What
// it is watched at comes first, so that no change is missed.
func (x *followed) reread(ctx context.Context, dirty bool) bool {
	begin := time.Now()
	x.watch()
	c, err := x.follower.source.read(x.path)
	for range tornRetries {
		if err != nil || !c.torn || !wait(ctx, debounce, nil) {
			break
		}
		c, err = x.follower.source.read(x.path)
	}
	now := time.Now()
	x.stamp, x.read, x.took = c.stamp, now, now.Sub(begin)
	x.mu.Lock()
	if !dirty && !x.dirty { // found by looking: nothing is known of its writer
		x.writing = unknown
	}
	x.file.writing = x.writing
	x.mu.Unlock()
	return x.file.observe(c, err, now)
}

// watch follows what the path leads through.
func (x *followed) watch() {
	err := x.follower.watcher.follow(x.path)
	if err != nil && !x.unwatched {
		x.follower.options.Log.Info("a file of targets is looked at every "+poll.String()+" only: not all that it depends on can be watched", "file", x.path, "err", err)
	}
	x.unwatched = err != nil
}

// publish puts the targets in force into the store.
func (x *followed) publish(begin time.Time) {
	x.publishing.Lock()
	defer x.publishing.Unlock()
	if x.ended {
		return
	}
	added, removed := x.follower.entries.set(x.path, x.file.force)
	x.follower.options.Observe(time.Since(begin))
	x.follower.options.Log.Debug("targets changed", "file", x.path, "added", added, "removed", removed, "targets", len(x.file.force))
}

// end takes back what the file lists, for good.
func (x *followed) end() {
	x.publishing.Lock()
	defer x.publishing.Unlock()
	x.ended = true
	x.follower.entries.set(x.path, nil)
}

// report logs what is wrong with the file when that has changed, and again later if it
// has changed too often.
func (x *followed) report() {
	facts := x.facts.Load()
	summary := facts.Summary()
	if summary == x.logged || !x.logs.AllowN(time.Now(), 1) {
		return
	}
	if x.logged = summary; summary == "" {
		x.follower.options.Log.Info("all lines of a file of targets count again", "file", x.path, "targets", facts.Targets)
		return
	}
	x.follower.options.Log.Warn("a file of targets does not count as a whole", "file", x.path, "targets", facts.Targets, "err", summary)
}
