// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"sync"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// maxOrdered bounds the messages whose order counts. An uplink that is further
// behind reads the whole table again instead.
const maxOrdered = 256

// mailbox holds what an uplink has not looked at yet. Whoever posts never waits:
// what says the same is merged, and everything else is bounded.
type mailbox struct {
	wake chan struct{} // has room for one

	mu   sync.Mutex
	mail mail
}

// mail is what came since the last look, in the order in which it is handled.
type mail struct {
	settings *settings
	link     bool // the interface changed: read it again
	stations bool // only the stations behind the bridge's ports did
	hops     *hostwatch.Hops
	presence *netip.Addr
	ordered  []message
	resync   bool // messages were dropped: read the whole table
	calls    []func()
}

// settings are what the operator chooses, and the names of all uplinks.
type settings struct {
	config rules.Uplink
	names  map[string]bool
}

// message is something whose order among others counts, as a table that
// publishes an address and the end of its announcement do.
type message interface{ apply(*Uplink) }

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post changes the mail and wakes the uplink up. f must only set fields.
func (b *mailbox) post(f func(*mail)) {
	b.mu.Lock()
	f(&b.mail)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// enqueue adds a message whose order counts.
func (b *mailbox) enqueue(m message) {
	b.post(func(l *mail) {
		if len(l.ordered) >= maxOrdered {
			l.ordered, l.resync = nil, true
		}
		l.ordered = append(l.ordered, m)
	})
}

// take empties the mailbox.
func (b *mailbox) take() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mail
	b.mail = mail{}
	return m
}
