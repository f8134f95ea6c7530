// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Of a directory, those events count that change what a path leads to. What is written
// to other files in it is none of our business, and may be a lot. Of the file itself
// those count that tell what its writer does.
const (
	watchedInDirectory = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	watchedOfFile = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// watches are what inotify watches for the files, in one instance, which is opened for
// the first of them. [watches.follow] and [watches.drop] may be called from any
// goroutine. Where a path cannot be watched, files are looked at now and then, which
// the callers do anyhow: nothing tells of what happens on another host of a network
// file system.
type watches struct {
	changed func(path string, w writing)
	opened  chan struct{} // closed once there is a queue

	mu    sync.Mutex
	queue *os.File
	paths map[string]map[spot]bool // what each file is watched at
	open  map[int32]bool           // all watches
	// busy is how many calls are adding watches. While there are any, none is
	// removed: it may be one that they were just given.
	busy int
}

// spot is a name in a directory that inotify watches, or "" for what is watched
// itself.
type spot struct {
	watch int32
	name  string
}

// newWatches returns watches that call a function for each file that may have
// changed. It must not block.
func newWatches(changed func(path string, w writing)) *watches {
	return &watches{changed: changed, opened: make(chan struct{}), paths: make(map[string]map[spot]bool), open: make(map[int32]bool)}
}

// begin opens the instance of inotify, and counts a call that adds watches.
func (w *watches) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return fmt.Errorf("open inotify: %w", err)
		}
		w.queue = os.NewFile(uintptr(fd), "inotify")
		close(w.opened)
	}
	w.busy++
	return nil
}

// run passes events on until ctx ends.
func (w *watches) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-w.opened:
	}
	defer context.AfterFunc(ctx, func() { _ = w.queue.Close() })()
	b := make([]byte, 64<<10)
	for {
		n, err := w.queue.Read(b)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read inotify: %w", err)
		}
		w.events(b[:n])
	}
}

// events passes on what the kernel has told.
func (w *watches) events(b []byte) {
	for len(b) >= unix.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(b[12:]))
		watch, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]) //nolint:gosec // the kernel's int
		b = b[unix.SizeofInotifyEvent:]
		name := strings.TrimRight(string(b[:min(length, len(b))]), "\x00")
		b = b[min(length, len(b)):]
		for _, path := range w.at(spot{watch, name}, mask) {
			w.changed(path, writingOf(mask))
		}
	}
}

// writingOf returns what an event tells of the writer of a file.
func writingOf(mask uint32) writing {
	switch {
	case mask&unix.IN_MOVED_TO != 0:
		return renamed
	case mask&(unix.IN_CLOSE_WRITE|unix.IN_CREATE) != 0:
		return closed
	case mask&unix.IN_MODIFY != 0:
		return open
	}
	return unknown
}

// at returns the files that an event may be about.
func (w *watches) at(s spot, mask uint32) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	// After an overflow, or where a directory itself is gone, all is looked at.
	all := mask&unix.IN_Q_OVERFLOW != 0
	var paths []string
	for path, spots := range w.paths {
		if all || spots[s] || s.name == "" && hasWatch(spots, s.watch) {
			paths = append(paths, path)
		}
	}
	return paths
}

func hasWatch(spots map[spot]bool, watch int32) bool {
	for s := range spots {
		if s.watch == watch {
			return true
		}
	}
	return false
}

// follow watches all that a path leads through, as it is now, and nothing else for
// it. The error says what cannot be watched.
func (w *watches) follow(path string) error {
	if err := w.begin(); err != nil {
		return err
	}
	spots := make(map[spot]bool)
	var errs []error
	for _, p := range places(path) {
		watch, err := w.add(p)
		switch {
		case err == nil:
			spots[spot{watch, p.name}] = true
		case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR): // it went away meanwhile
			errs = append(errs, fmt.Errorf("watch %s: %w", p.directory, err))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	w.paths[path] = spots
	for s := range spots {
		w.open[s.watch] = true
	}
	w.clean()
	return errors.Join(errs...)
}

// drop ends what is watched for a file.
func (w *watches) drop(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.paths, path)
	w.clean()
}

// add watches a directory or the file, and returns the number of the watch, which is
// the one that it has if it is watched already.
func (w *watches) add(p place) (int32, error) {
	mask := uint32(watchedInDirectory)
	if p.name == "" {
		mask = watchedOfFile
	}
	conn, err := w.queue.SyscallConn()
	if err != nil {
		return 0, err
	}
	var (
		watch int
		added error
	)
	if err := conn.Control(func(fd uintptr) { watch, added = unix.InotifyAddWatch(int(fd), p.directory, mask) }); err != nil {
		return 0, err
	}
	return int32(watch), added //nolint:gosec // the kernel's int
}

// clean ends watches that no file needs. The mutex is held, which the call does not
// wait under: removing a watch is work in memory.
func (w *watches) clean() {
	if w.busy > 0 || w.queue == nil {
		return
	}
	for watch := range w.open {
		if w.needed(watch) {
			continue
		}
		delete(w.open, watch)
		if conn, err := w.queue.SyscallConn(); err == nil { // the kernel may have ended it already
			_ = conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(watch)) }) //nolint:gosec // the kernel's int
		}
	}
}

func (w *watches) needed(watch int32) bool {
	for _, spots := range w.paths {
		if hasWatch(spots, watch) {
			return true
		}
	}
	return false
}
