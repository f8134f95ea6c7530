// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Responder answers by a program in the kernel, and by the packet socket behind it. It
// implements [ndp.Responder]: methods that it does not have itself are the socket's.
type Responder struct {
	*ndp.Listener
	options  Options
	config   rules.Uplink
	counters *ndp.Counters
	path     atomic.Pointer[ndp.Path]
	changed  func() // the path has changed by itself
	// namespace is the cookie of the network namespace that the socket is in.
	namespace    uint64
	namespaceErr error
	logger       *slog.Logger
	giving       sync.WaitGroup // what gives programs up: who waits for it must not hold mu

	mu    sync.Mutex // guards what follows; nobody waits for it but who changes what is answered
	iface *ndp.Interface
	view  *rules.View
	fast  *running // nil while the packet socket answers alone
	ended bool     // Close or Hold was called
	// When the program is tried again that cannot be had.
	retries backoff
	retry   *time.Timer // nil while it is not
	// And the packet socket's move to where the settings ask for, after one that has failed.
	moves    backoff
	moveNext *time.Timer // nil while it is where they ask for
	unmoved  string      // why it is not, as the log says
	// What the memberships ask of the device, and how many of them want all multicast.
	allMulticast int
	groups       map[uint32]bool
	// refusals are of the ways that have shown that their answers are lost.
	refusals     map[ndp.Way]*refusal
	warned       string   // why the log says that another way answers
	leftover     string   // of an earlier daemon, and it stays attached
	warnedLeft   string   // what the log says of that
	warnedStrays string   // and of what nobody writes to any more
	leaving      *leaving // nil while nothing is
}

func newResponder(l *ndp.Listener, cfg ndp.ListenConfig, o Options) *Responder {
	r := &Responder{
		Listener: l, options: o, config: cfg.Interface.Facts().Uplink, counters: cfg.Counters,
		changed: cfg.PathChanged,
		iface:   cfg.Interface, view: cfg.View, refusals: make(map[ndp.Way]*refusal), groups: make(map[uint32]bool),
		retries: newBackoff(), moves: newBackoff(),
	}
	r.logger = o.Log.With("interface", r.config.Interface)
	r.namespace, r.namespaceErr = namespaceCookie()
	path := l.Path()
	r.path.Store(&path)
	return r
}

// warnOnce warns once that what was asked for does not answer.
func (r *Responder) warnOnce(way ndp.Way, why string) {
	if why == r.warned {
		return
	}
	if r.warned = why; why != "" && r.config.FastPath != rules.FastPathAuto {
		r.log().Warn("another way answers than fast_path asks for", "fast_path", r.config.FastPath.String(), "answers", way.String(), "why", why)
	}
}

// log returns the logger of the interface. The program's tasks call it as well.
func (r *Responder) log() *slog.Logger { return r.logger }

// Path implements [ndp.Responder].
func (r *Responder) Path() ndp.Path { return *r.path.Load() }

// SetInterface implements [ndp.Responder].
func (r *Responder) SetInterface(i *ndp.Interface) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, unfit, early := r.iface.Facts().Uplink, r.unfit() != nil, r.config.Early
	r.iface, r.config = i, i.Facts().Uplink
	if r.config.FastPath != before.FastPath {
		clear(r.refusals)
	}
	if r.config.FastPath != before.FastPath || r.config.ConsumeUnicast != before.ConsumeUnicast || r.config.Early != before.Early {
		r.change()
		return
	}
	r.config.Early = early // which place has decided
	r.Listener.SetInterface(i)
	switch {
	case r.fast == nil && unfit && r.unfit() == nil: // such as one address less
		r.endLeaving()
		r.start()
		return
	case r.fast == nil:
		return
	}
	if err := r.fast.program.SetInterface(i); err != nil {
		if r.unfit() != nil { // its table is whole
			r.setAside()
		}
		r.fallBack(err)
		return
	}
	r.fast.setHold(r.config.Hold())
	r.fast.rely()
	r.showLines()
}

// unfit returns why the program cannot decide on the interface as it is, nil if it can.
func (r *Responder) unfit() error {
	facts := r.iface.Facts()
	return fits(&facts)
}

// SetView implements [ndp.Responder].
func (r *Responder) SetView(view *rules.View, deltas []rules.Delta) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.view = view
	if r.fast != nil {
		if err := r.fast.program.SetView(view, deltas); err != nil {
			r.fallBack(err)
		} else {
			r.fast.rely()
			r.showLines()
		}
	}
	r.setLeavingView(view, deltas)
	return r.Listener.SetView(view, deltas)
}

// showLines brings the path's figures up to date.
func (r *Responder) showLines() {
	path := *r.path.Load()
	path.Lines, path.Inherited = r.fast.program.lines()
	path.Pinned, path.Unpinned = r.fast.pinned()
	r.path.Store(&path)
}

// Settle implements [ndp.Responder].
func (r *Responder) Settle() {
	r.mu.Lock()
	fast := r.fast
	r.mu.Unlock()
	r.settle(fast)
}

// settle does so for a program, unless another has taken its place meanwhile.
func (r *Responder) settle(fast *running) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fast == nil || r.fast != fast {
		return
	}
	if err := r.fast.program.Settle(); err != nil {
		r.fallBack(err)
		return
	}
	if err := r.fast.stopHearing(r.allMulticast > 0, r.groups); err != nil {
		r.log().Warn("the device hears more than it has to", "err", err)
	}
	r.showLines()
}

// CountDrops implements [ndp.Responder]: it also counts what the program has answered.
func (r *Responder) CountDrops() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.Listener.CountDrops()
	if r.fast != nil {
		err = errors.Join(err, r.fast.program.count(r.counters))
	}
	return err
}

// Hold implements [ndp.Responder]. What is pinned is believed for as long as the next
// daemon may take to start, but for what other nodes take over.
func (r *Responder) Hold() error { return r.end((*running).leave) }

// end ends the responder, and by the given function the program that answers.
func (r *Responder) end(program func(*running, *ndp.Counters) error) error {
	defer r.giving.Wait() // the tasks have ended by then, so that nothing more is given up
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finish()
	var err error
	if r.fast != nil {
		err = program(r.fast, r.counters)
		r.fast = nil
	}
	return errors.Join(err, r.Listener.Close())
}

// finish has nothing be started any more, and ends what is leaving.
func (r *Responder) finish() {
	r.ended = true
	r.stopRetry()
	r.stopMove()
	r.endLeaving()
}

// Close implements [ndp.Responder].
func (r *Responder) Close() error { return r.end((*running).close) }

var _ ndp.Responder = (*Responder)(nil)
