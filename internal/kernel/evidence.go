// SPDX-License-Identifier: Apache-2.0

// Package kernel makes evidence of the kernel's routes: what package behind says
// of them becomes the entries of the store.
//
// Package daemon makes one [Evidence]. The watcher's goroutine tells it of routes,
// and the reconciler's of uplinks; both may run at once.
package kernel

import (
	"iter"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Judge is [behind.Judge].
type Judge interface {
	SetPolicy(node bool, settings []rules.DeviceSetting) (changed bool)
	SetUplinks(indices []int, names ...string) (changed bool)
	SetOrigins(uplinks map[string]int, tables []uint32) (changed bool)
	Domains() (d rules.Domains, version uint64)
	Version() uint64
	EntryIn(rules.Domain, netip.Prefix) (rules.Entry, bool)
	AllIn(rules.Domain) iter.Seq[rules.Entry]
}

// Evidence feeds the store with what the kernel's routes say. Its methods may be
// called from any goroutine.
type Evidence struct {
	judge    Judge
	store    *rules.Store
	appeared func([]netip.Addr)

	// What is read from the judge last is published last. Both are work in
	// memory: nothing waits under the lock.
	mu sync.Mutex
	// domains and version are what was published last.
	domains rules.Domains
	version uint64
}

// New returns the evidence of a judge's routes, and publishes it. appeared hears
// of addresses that got a host route to behind us, which is later evidence than
// any claim of a station; it must not block.
func New(judge Judge, store *rules.Store, appeared func([]netip.Addr)) *Evidence {
	e := &Evidence{judge: judge, store: store, appeared: appeared}
	e.replace()
	return e
}

// SetPolicy tells whether the host is a node of a cluster, and what the operator
// says of its devices.
func (e *Evidence) SetPolicy(node bool, settings []rules.DeviceSetting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.judge.SetPolicy(node, settings) {
		e.replace()
	}
}

// SetUplinks tells which devices are uplinks, by index, and by names that devices
// may take later: what is routed to these is not behind us. origins are the uplinks
// whose packets count, with the indices of their devices, and tables those that rules
// name.
func (e *Evidence) SetUplinks(indices []int, names []string, origins map[string]int, tables []uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	uplinks := e.judge.SetUplinks(indices, names...)
	if e.judge.SetOrigins(origins, tables) || uplinks {
		e.replace()
	}
}

// RoutesChanged takes over what changed routes mean. With all set any may have
// changed.
func (e *Evidence) RoutesChanged(prefixes []netip.Prefix, all bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if all {
		e.replace()
		go debug.FreeOSMemory() // the reading took as much memory again
		return
	}
	if e.judge.Version() != e.version { // and all comes soon
		e.replace()
		return
	}
	now := time.Now()
	changes := make([]rules.EntryChange, len(prefixes))
	for d := range rules.Domain(max(e.domains.Count, 1)) {
		var appeared []netip.Addr
		for i, p := range prefixes {
			entry, ok := e.judge.EntryIn(d, p)
			entry.Prefix, entry.Since = p, now
			changes[i] = rules.EntryChange{Entry: entry, Gone: !ok}
			if ok && entry.Behind && p.IsSingleIP() {
				appeared = append(appeared, p.Addr())
			}
		}
		e.appeared(appeared)
		e.store.UpdateRoutes(d, changes)
	}
}

// replace publishes all entries anew. A device may have another name, too.
func (e *Evidence) replace() {
	e.domains, e.version = e.judge.Domains()
	e.store.ReplaceRoutes(e.domains, e.judge.AllIn)
	e.store.DevicesChanged()
}
