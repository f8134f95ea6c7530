// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Options are what a [Follower] works with.
type Options struct {
	Store *rules.Store
	Log   *slog.Logger
	// Observe is told how long it took to put a change of a file in force.
	Observe func(time.Duration)
}

// source is where files are read, a disk or a fake.
type source interface {
	stat(path string) (stamp, error)
	read(path string) (content, error)
}

// watcher tells of files that may have changed: [watches] or a fake.
type watcher interface {
	run(ctx context.Context) error
	follow(path string) error
	drop(path string)
}

// Follower follows the files that rules name. It is a [task.Task].
type Follower struct {
	options Options
	source  source
	watcher watcher
	entries entries
	changed chan struct{} // the files to follow have changed; holds one

	mu    sync.Mutex
	rules map[string][]netip.Prefix // by the files that the rules in force name
	next  map[string][]netip.Prefix // the same of a configuration that is being loaded
	files map[string]*followed
}

// New returns a Follower that reads nothing before Run.
func New(o Options) *Follower {
	f := &Follower{
		options: o, source: disk{}, entries: entries{store: o.Store, files: make(map[string]list)},
		changed: make(chan struct{}, 1), files: make(map[string]*followed),
	}
	f.watcher = newWatches(f.fileChanged)
	return f
}

// String names the task.
func (f *Follower) String() string { return "files of targets" }

// Ready returns nil once all files were read for the first time, or could not be.
func (f *Follower) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, x := range f.files {
		if x.facts.Load() == nil {
			return errors.New("the first reading of " + path)
		}
	}
	return nil
}

// SetRules makes the files that these rules name the ones to follow. It does not
// block.
func (f *Follower) SetRules(rs []rules.Rule) {
	f.mu.Lock()
	f.rules = filesOf(rs)
	f.update()
	f.mu.Unlock()
	f.wake()
}

// Preload follows the files of rules that are to be in force soon as well, and waits
// until they were read, so that no answer is missing when they are. Call the function
// that it returns once they are in force, or will not be.
func (f *Follower) Preload(ctx context.Context, rs []rules.Rule) (done func()) {
	f.mu.Lock()
	f.next = filesOf(rs)
	f.update()
	var first []chan struct{}
	for path := range f.next {
		first = append(first, f.files[path].first)
	}
	f.mu.Unlock()
	f.wake()
	for _, read := range first {
		select {
		case <-read:
		case <-ctx.Done():
		}
	}
	return func() {
		f.mu.Lock()
		f.next = nil
		f.update()
		f.mu.Unlock()
		f.wake()
	}
}

// filesOf returns the prefixes of rules by the files that they name.
func filesOf(rs []rules.Rule) map[string][]netip.Prefix {
	named := make(map[string][]netip.Prefix)
	for _, r := range rs {
		if r.Method == rules.File {
			named[r.Targets] = append(named[r.Targets], r.Prefix)
		}
	}
	return named
}

// update makes a followed of each new file, and tells all of the rules that name
// them. The mutex is held.
func (f *Follower) update() {
	for _, named := range []map[string][]netip.Prefix{f.next, f.rules} { // those in force count
		for path, prefixes := range named {
			x := f.files[path]
			if x == nil {
				x = newFollowed(f, path)
				f.files[path] = x
			}
			x.setPrefixes(prefixes)
		}
	}
}

func (f *Follower) wake() {
	select {
	case f.changed <- struct{}{}:
	default: // it will look anyhow
	}
}

// fileChanged is called for a file that may have changed.
func (f *Follower) fileChanged(path string, w writing) {
	f.mu.Lock()
	x := f.files[path]
	f.mu.Unlock()
	if x != nil {
		x.changed(w)
	}
}

// Run implements [task.Task].
func (f *Follower) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.watcher.run(ctx); err != nil {
			f.options.Log.Warn("files of targets are looked at every "+poll.String()+" only, and not followed as they change any more", "err", err)
		}
	})
	stops := make(map[*followed]context.CancelFunc)
	for {
		start, stop := f.sort(stops)
		for _, x := range start {
			inner, cancel := context.WithCancel(ctx)
			stops[x] = cancel
			running.Go(func() { x.run(inner) })
		}
		for _, x := range stop {
			stops[x]()
			delete(stops, x)
			f.watcher.drop(x.path)
			x.end()
		}
		select {
		case <-ctx.Done():
			for _, cancel := range stops {
				cancel()
			}
			running.Wait()
			return nil
		case <-f.changed:
		}
	}
}

// sort returns the files that are to be followed and are not yet, and those that are
// and need not be, which it forgets.
func (f *Follower) sort(running map[*followed]context.CancelFunc) (start, stop []*followed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, x := range f.files {
		_, now := f.rules[path]
		_, next := f.next[path]
		switch _, runs := running[x]; {
		case (now || next) && !runs:
			start = append(start, x)
		case !now && !next && runs:
			stop = append(stop, x)
			delete(f.files, path)
		case !now && !next:
			delete(f.files, path)
		}
	}
	return start, stop
}

// Files returns what is known of each file that is followed, in the order of their
// paths. Any goroutine may call it.
func (f *Follower) Files() []File {
	f.mu.Lock()
	defer f.mu.Unlock()
	var files []File
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		if facts := f.files[path].facts.Load(); facts != nil {
			files = append(files, *facts)
		}
	}
	return files
}
