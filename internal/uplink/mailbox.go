// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"net/netip"
	"sync"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// The bounds of what an uplink may be behind with.
const (
	// maxTables is how many tables may wait. An uplink that is further behind
	// compares the last one with its own instead.
	maxTables = 256
	// maxQuestions is how many questions to stations may wait. One that is dropped
	// counts as unanswered, and is asked again.
	maxQuestions = 1024
	// maxAppeared is how many addresses may wait to be let go of by the stations
	// that claimed them. An entry of our own outweighs a claim without that, too.
	maxAppeared = 1 << 16
	// maxCalls is how many calls may wait: each status, scrape and check of health
	// makes one, and does not take it back when the uplink is stuck.
	maxCalls = 64
)

// mailbox holds what an uplink has not looked at yet. Whoever posts never waits:
// what says the same is merged, and everything else is bounded.
type mailbox struct {
	wake chan struct{} // has room for one

	mu   sync.Mutex
	mail mail
}

// mail is what came since the last look, in the order in which it is handled.
type mail struct {
	settings  *settings
	link      bool // the interface changed: read it again
	stations  bool // only the stations behind the bridge's ports did
	hops      bool // next hops or on-link prefixes changed: read them again
	presence  *presence
	tables    []rules.Change
	resync    bool // tables were dropped: compare with the last one
	appeared  map[netip.Addr]bool
	questions []question
	settled   bool // the evidence is complete
	relieved  bool // something else keeps unicast solicitations from the kernel
	calls     []func()
}

// settings are what the operator chooses, and the names of all uplinks.
type settings struct {
	config rules.Uplink
	names  map[string]bool
}

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

// addTable adds a table that the store has published.
func (m *mail) addTable(c rules.Change) {
	if len(m.tables) >= maxTables {
		m.tables, m.resync = nil, true
	}
	m.tables = append(m.tables, c)
}

// addAppeared adds addresses that have appeared behind us.
func (m *mail) addAppeared(addresses []netip.Addr) {
	if m.appeared == nil {
		m.appeared = make(map[netip.Addr]bool, len(addresses))
	}
	for _, a := range addresses {
		if len(m.appeared) >= maxAppeared {
			return
		}
		m.appeared[a] = true
	}
}

// addQuestion adds a question to a station.
func (m *mail) addQuestion(q question) {
	if len(m.questions) < maxQuestions {
		m.questions = append(m.questions, q)
	}
}

// addCall adds something that the uplink's goroutine is to do for another one, and
// reports whether there was room.
func (m *mail) addCall(f func()) bool {
	if len(m.calls) >= maxCalls {
		return false
	}
	m.calls = append(m.calls, f)
	return true
}

// take empties the mailbox.
func (b *mailbox) take() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mail
	b.mail = mail{}
	return m
}
