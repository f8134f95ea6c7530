// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"errors"
	"io/fs"
	"time"
)

// How long a file has to be as it is before that what it no longer lists goes, and
// before its last line counts if that has no line break. New lines count at once.
const (
	// holdClosed is for a file whose writer has closed it, or of which that is not
	// known: a script may open it anew for each line.
	holdClosed = 2 * time.Second
	// holdOpen is for a file that was written to and is still open.
	holdOpen = 10 * time.Second
	// holdEmpty is for a file without any target, and one that is gone: most often
	// its writer begins anew.
	holdEmpty = 30 * time.Second
)

// writing is what inotify has told of the writer of a file.
type writing uint8

const (
	unknown writing = iota
	// open: it was written to and is not closed yet.
	open
	// closed by its writer, or made anew.
	closed
	// renamed into its place, whole.
	renamed
)

// file decides which targets of a file are in force. It is pure: it reads nothing
// and has no clock. The zero file has read nothing yet.
type file struct {
	known   bool // was read once, or could not be
	latest  Reading
	err     error // of the latest reading; latest is then the one before
	writing writing
	since   time.Time // when the latest content, or error, was seen first
	force   list
}

// observe takes what a reading has brought, and returns whether the targets in force
// have changed.
func (f *file) observe(c content, err error, now time.Time) bool {
	gone := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && (f.err == nil || gone != errors.Is(f.err, fs.ErrNotExist)):
		f.since = now
	case err == nil && !f.known: // it may be old
		f.since = now.Add(-max(0, now.Sub(c.stamp.modified)))
	case err == nil && (f.err != nil || c.sum != f.latest.sum):
		f.since = now
	}
	f.known = true
	if f.err = err; err == nil {
		f.latest = c.Reading
	}
	return f.decide(now)
}

// decide puts targets in force, and reports whether they have changed. Targets are
// never taken back because a file could not be read or is all wrong: that says
// nothing about them.
func (f *file) decide(now time.Time) bool {
	next := f.force
	switch {
	case errors.Is(f.err, fs.ErrNotExist):
		if f.settled(now) {
			next = nil
		}
	case f.err != nil:
	case f.settled(now):
		if l := f.listed(); len(l) > 0 || f.wrong() == 0 {
			next = l
		}
	default:
		next = union(f.force, f.latest.targets)
	}
	changed := len(next) != len(f.force)
	compare(f.force, next, func(target) { changed = true }, func(target) { changed = true }, func(target) {})
	f.force = next
	return changed
}

// listed returns the targets of the latest content, the last line included.
func (f *file) listed() list {
	if f.latest.hasLast {
		return f.latest.targets.with(f.latest.last)
	}
	return f.latest.targets
}

// wrong returns how many lines of the latest content do not count.
func (f *file) wrong() int {
	if f.latest.lastFault != nil {
		return f.latest.Wrong + 1
	}
	return f.latest.Wrong
}

// faults returns the first lines that do not count.
func (f *file) faults(now time.Time) []Fault {
	faults := f.latest.Faults
	if f.latest.lastFault != nil && len(faults) < maxFaults && f.settled(now) {
		faults = append(faults[:len(faults):len(faults)], *f.latest.lastFault)
	}
	return faults
}

// hold returns how long the file has to be as it is.
func (f *file) hold() time.Duration {
	switch {
	case f.err != nil, len(f.latest.targets) == 0 && !f.latest.hasLast:
		return holdEmpty
	case f.writing == renamed:
		return 0
	case f.writing == open:
		return holdOpen
	}
	return holdClosed
}

func (f *file) settled(now time.Time) bool { return now.Sub(f.since) >= f.hold() }

// again returns when the file has to be read again although nobody tells that it has
// changed, and false for no need.
func (f *file) again(now time.Time) (time.Time, bool) {
	if !f.known || f.settled(now) || f.err != nil && !errors.Is(f.err, fs.ErrNotExist) {
		return time.Time{}, false
	}
	return f.since.Add(f.hold()), true
}
