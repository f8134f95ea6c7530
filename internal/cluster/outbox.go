// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"sync"

	"github.com/ndproxyd/ndproxyd/internal/ownership"
)

// maxQuestions bounds the questions that wait to be sent. One that is dropped
// counts as unanswered, and is asked again.
const maxQuestions = 4096

// outbox holds the messages to uplinks and daemon until they are delivered. They
// are posted with the Manager's lock held, and delivered without it.
type outbox struct {
	posted chan struct{} // something waits

	mu       sync.Mutex
	messages messages
}

// messages are those of one delivery, in the order in which they are handed over.
type messages struct {
	presence  *presence // nil where it has not changed
	appeared  []netip.Addr
	questions []ownership.Ask
	changed   bool // the service CIDRs or the presence are others
}

func newOutbox() *outbox { return &outbox{posted: make(chan struct{}, 1)} }

// post adds to what waits.
func (o *outbox) post(add func(*messages)) {
	o.mu.Lock()
	add(&o.messages)
	o.mu.Unlock()
	select {
	case o.posted <- struct{}{}:
	default:
	}
}

// take returns what waits, and empties the outbox.
func (o *outbox) take() messages {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.messages
	o.messages = messages{}
	return m
}

// setPresence posts what is shown to other nodes. The address of our own matters to the
// daemon, too.
func (o *outbox) setPresence(p presence, changed bool) {
	o.post(func(m *messages) { m.presence, m.changed = &p, m.changed || changed })
}

func (o *outbox) appeared(a netip.Addr) {
	o.post(func(m *messages) { m.appeared = append(m.appeared, a) })
}

func (o *outbox) ask(asks []ownership.Ask) {
	if len(asks) == 0 {
		return
	}
	o.post(func(m *messages) {
		m.questions = append(m.questions, asks[:min(len(asks), maxQuestions-len(m.questions))]...)
	})
}

func (o *outbox) changed() { o.post(func(m *messages) { m.changed = true }) }

// deliver hands the messages over.
func (m *messages) deliver(to Uplinks, changed func()) {
	if m.presence != nil {
		to.SetPresence(m.presence.own, m.presence.witnessed)
	}
	if len(m.appeared) > 0 {
		to.Appeared(m.appeared)
	}
	for _, q := range m.questions {
		to.Ask(q.Target, q.To)
	}
	if m.changed {
		changed()
	}
}
