// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"sync"
)

// The bounds of a mailbox. Beyond maxPrefixes and maxDevices everything counts as
// changed, which is always right and costs more. Answers and doubts beyond
// maxAnswers are dropped like frames that got lost: the target is asked again.
const (
	maxPrefixes = 4096
	maxDevices  = 1024
	maxAnswers  = 8192
)

// mailbox collects what happened until the task takes it, and merges what is said
// more than once. It takes its own lock only, for as long as a map takes.
type mailbox struct {
	wake chan struct{} // there is something to take; holds one

	mu    sync.Mutex
	batch events
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// events are what happened since the last take.
type events struct {
	rules      bool
	anyDevice  bool // supersedes devices
	devices    map[int32]struct{}
	allRoutes  bool // supersedes prefixes
	prefixes   map[netip.Prefix]struct{}
	answers    map[answer]struct{}
	unreached  map[netip.Addr]struct{} // neighbors that the kernel asked in vain
	overflowed bool                    // answers were dropped
}

// answer is that a target has answered on a device, perhaps by a proxy.
type answer struct {
	target netip.Addr
	device int32
	proxy  bool
}

// put lets f add to the events. f must not block.
func (m *mailbox) put(f func(*events)) {
	m.mu.Lock()
	f(&m.batch)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // the task has not taken the last ones yet
	}
}

// take returns the events, and begins anew.
func (m *mailbox) take() events {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.batch
	m.batch = events{}
	return e
}

func (e *events) routes(prefixes []netip.Prefix, all bool) {
	if all || e.allRoutes || len(e.prefixes)+len(prefixes) > maxPrefixes {
		e.allRoutes, e.prefixes = true, nil
		return
	}
	for _, p := range prefixes {
		e.prefixes = add(e.prefixes, p)
	}
}

// device adds a device that changed; 0 is any.
func (e *events) device(index int32) {
	if index == 0 || e.anyDevice || len(e.devices) >= maxDevices {
		e.anyDevice, e.devices = true, nil
		return
	}
	e.devices = add(e.devices, index)
}

func (e *events) answered(a answer) {
	if len(e.answers) >= maxAnswers {
		e.overflowed = true
		return
	}
	e.answers = add(e.answers, a)
}

func (e *events) notReached(target netip.Addr) {
	if len(e.unreached) >= maxAnswers {
		e.overflowed = true
		return
	}
	e.unreached = add(e.unreached, target)
}

// add adds v to a set, which it makes when there is none.
func add[T comparable](set map[T]struct{}, v T) map[T]struct{} {
	if set == nil {
		set = make(map[T]struct{})
	}
	set[v] = struct{}{}
	return set
}
