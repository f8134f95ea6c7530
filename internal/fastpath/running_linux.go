// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// running is a program that answers.
type running struct {
	program *Program
	device  *device
	hook    hook
	reader  *ringbuf.Reader
	folder  *folder // where it is to be pinned; nil where it cannot be
	why     error   // why it is not pinned; nil where it is
	// When it is pinned anew, and attached a better way, if it has to be; of the guard.
	pins, climbs         backoff
	pinAgain, climbAgain time.Time
	best                 bool // there is no better way that may come
	stop                 chan struct{}
	tasks                sync.WaitGroup
	hold                 atomic.Int64  // how long it answers without a sign of life
	relies               atomic.Bool   // there is what it does only while the daemon is alive
	renew                chan struct{} // asks for a sign of life at once; has room for one
	failed               sync.Once
	giveUp               func(error) // what fail starts, which waits for the tasks
	settle               *time.Timer // when inherited lines go; nil without any
}

// How long a program answers without a sign of life.
const (
	// aliveHold is for what the program must not do when the daemon is dead. It is less than
	// the silence after which other nodes take service addresses over (2.35 s, package
	// ownership). With consume_unicast it is also how long an address may be unanswered that
	// the host is given after the daemon has died.
	aliveHold = 2 * time.Second
	// StopHold is for all others when the daemon has ended as planned: as long as a
	// service manager or a kubelet takes to start the next one.
	StopHold = 10 * time.Second
)

// signs is how many signs of life fit into the time that one is good for.
const signs = 4

// setHold has the program answer for that long without a sign of life.
func (f *running) setHold(d time.Duration) {
	if f.hold.Swap(int64(d)) != int64(d) {
		f.wake()
	}
}

// rely looks whether there is now what the program does only while the daemon is alive.
func (f *running) rely() {
	if relies := f.program.relies(f.hook.Way()); f.relies.Swap(relies) != relies {
		f.wake()
	}
}

// wake has the next sign of life be given at once.
func (f *running) wake() {
	select {
	case f.renew <- struct{}{}:
	default:
	}
}

// believe gives a sign of life, and returns when the next one is due.
func (f *running) believe() (next time.Duration, err error) {
	hold := time.Duration(f.hold.Load())
	if !f.relies.Load() {
		return hold / signs, f.program.Believe(hold, 0)
	}
	return min(hold, aliveHold) / signs, f.program.Believe(hold, min(hold, aliveHold))
}

// goOn has the table of an earlier daemon be believed while it is built anew, or be believed
// no more where its answers would name a MAC address that the interface does not have any
// more: then the packet socket answers meanwhile. While no daemon runs the program cannot
// know of another MAC address: of the kernel's helpers only bpf_fib_lookup tells one, which
// takes a program under the GPL and an entry for each asker in the neighbor cache.
func (f *running) goOn(l *left, i *ndp.Interface) error {
	if mac := i.Facts().MAC; [6]byte(l.facts.Mac[:6]) != mac {
		return f.program.Believe(0, 0)
	}
	_, err := f.believe()
	return err
}

// fail has the program be given up, unless it was before. The tasks call it, and end then.
func (f *running) fail(err error) { f.failed.Do(func() { f.giveUp(err) }) }

// live shows that the daemon lives, until the program is closed, or cannot be shown. Where it
// does nothing that a dead daemon's must not do, that is once in a long time.
func (f *running) live() {
	for {
		next, err := f.believe()
		if err != nil {
			f.fail(err)
			return
		}
		timer := time.NewTimer(next)
		select {
		case <-f.stop:
			timer.Stop()
			return
		case <-f.renew:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pinned returns where the program is pinned, or why it is not.
func (f *running) pinned() (path, why string) {
	if err := errors.Join(f.why, f.program.unpinned()); err != nil {
		return "", err.Error()
	}
	return f.folder.path, ""
}

// stays reports whether the program answers without the daemon.
func (f *running) stays() bool {
	path, _ := f.pinned()
	return path != ""
}

// stopHearing takes back what the program does not have to hear without the daemon.
func (f *running) stopHearing(allMulticast bool, groups map[uint32]bool) error {
	p := f.program
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.about
	err := f.device.stopHearing(&p.about, allMulticast, groups)
	if p.about != before {
		err = errors.Join(err, p.about.write(p.aboutMap))
	}
	return err
}

// endTasks ends the tasks.
func (f *running) endTasks() error {
	var err error
	close(f.stop)
	if f.settle != nil {
		f.settle.Stop()
	}
	if f.reader != nil {
		err = f.reader.Close()
	}
	f.tasks.Wait()
	return err
}

// leave lets go of a program that answers until the next daemon takes it over, or detaches
// one that cannot stay, or that cannot be told for how long.
func (f *running) leave(counters *ndp.Counters) error {
	if !f.stays() || notFrozen(programMapLife, f.program.objects.Life) != nil {
		return f.close(counters)
	}
	err := f.endTasks()
	hold := min(time.Duration(f.hold.Load()), StopHold)
	err = errors.Join(err, f.program.Believe(hold, 0), f.program.count(counters), f.hook.Release(), f.program.Close())
	f.device.close()
	return err
}

// close detaches the program, and counts what it has answered.
func (f *running) close(counters *ndp.Counters) error {
	errs := []error{f.endTasks()} // before the hook, which the tasks look at
	if f.program.owned() {
		if f.hook != nil { // without one, the folder is still that of the daemon before
			if f.folder != nil {
				errs = append(errs, f.folder.remove())
			}
			errs = append(errs, f.hook.Close(), f.program.leaveAbout(), f.stopHearing(false, nil), f.program.maps.awaitRuns())
		}
		errs = append(errs, f.program.count(counters))
	} else if f.hook != nil { // another responder of this process has taken it over
		errs = append(errs, f.hook.Release())
	}
	if f.device != nil { // after the hook, which uses it
		f.device.close()
	}
	if err := errors.Join(append(errs, f.program.Close())...); err != nil {
		return fmt.Errorf("detach the program: %w", err)
	}
	return nil
}
