// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/ringbuf"

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
	changed  func()    // another way answers
	found    chan loss // what the guard of a program tells

	mu    sync.Mutex // guards what follows; nobody waits for it but who changes what is answered
	iface *ndp.Interface
	view  *rules.View
	fast  *running // nil while the packet socket answers alone
	ended bool     // Close or Hold was called
	// refused are the ways that have shown that their answers are lost.
	refused map[ndp.Way]error
	said    string // why the log says that another way answers
}

// running is a program that answers.
type running struct {
	program *Program
	device  *device
	hook    hook
	reader  *ringbuf.Reader
	stop    chan struct{}
	tasks   sync.WaitGroup
}

func newResponder(l *ndp.Listener, cfg ndp.ListenConfig, o Options) *Responder {
	r := &Responder{
		Listener: l, options: o, config: cfg.Interface.Facts().Uplink, counters: cfg.Counters,
		changed: cfg.PathChanged, found: make(chan loss, 1),
		iface: cfg.Interface, view: cfg.View, refused: make(map[ndp.Way]error),
	}
	path := l.Path()
	r.path.Store(&path)
	return r
}

// start puts the program before the socket, or says why not.
func (r *Responder) start() {
	err := usable(&r.config, r.options)
	if err == nil {
		err = r.run()
	}
	if err == nil {
		return
	}
	r.fallBack(err)
}

// run loads the program, fills its table, and attaches it: from then on it answers.
func (r *Responder) run() (err error) {
	p, err := Load(true) // at XDP it makes no difference
	if err != nil {
		return err
	}
	fast := &running{program: p, stop: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, fast.close(r.counters))
		}
	}()
	if err := p.SetInterface(r.iface); err != nil {
		return err
	}
	if err := p.SetView(r.view, nil); err != nil {
		return err
	}
	if err := p.Believe(r.config.Hold(), sharedHold); err != nil {
		return err
	}
	if fast.reader, err = ringbuf.NewReader(p.objects.Records); err != nil {
		return fmt.Errorf("open the program's records: %w", err)
	}
	if fast.device, err = openDevice(r.Index()); err != nil {
		return err
	}
	var why string
	if fast.hook, why, err = r.attach(fast.device, p); err != nil {
		return err
	}
	r.fast = fast
	fast.tasks.Go(func() { follow(fast.reader, r.ProgramAnswers()) })
	fast.tasks.Go(func() { r.live(fast) })
	fast.tasks.Go(func() { r.guard(fast) })
	all, inherited := p.lines()
	r.path.Store(&ndp.Path{Way: fast.hook.Way(), Hook: fast.hook.Name(), Since: time.Now(), Why: why, Lines: all, Inherited: inherited})
	r.say(fast.hook.Way(), why)
	return nil
}

// fallBack leaves everything to the packet socket.
func (r *Responder) fallBack(why error) {
	if r.fast != nil {
		if err := r.fast.close(r.counters); err != nil {
			r.log().Warn("detaching the program failed", "err", err)
		}
		r.fast = nil
	}
	path := r.Listener.Path()
	path.Since = time.Now()
	if !errors.Is(why, errNotAsked) {
		path.Why = why.Error()
	}
	r.path.Store(&path)
	r.say(ndp.WaySocket, path.Why)
}

// say warns once that what was asked for does not answer.
func (r *Responder) say(way ndp.Way, why string) {
	if why == r.said {
		return
	}
	if r.said = why; why != "" && r.config.FastPath != rules.FastPathAuto {
		r.log().Warn("another way answers than fast_path asks for", "fast_path", r.config.FastPath, "answers", way, "why", why)
	}
}

func (r *Responder) log() *slog.Logger {
	return r.options.Log.With("interface", r.config.Interface)
}

// sharedHold is how long service addresses are answered for without a sign of life: less
// than the silence after which other nodes take them over (2.35 s, package ownership).
const sharedHold = 2 * time.Second

// live shows that the daemon lives, until the program is closed.
func (r *Responder) live(fast *running) {
	every := time.NewTicker(min(r.config.Hold()/4, sharedHold/4))
	defer every.Stop()
	for {
		select {
		case <-fast.stop:
			return
		case <-every.C:
		}
		if err := fast.program.Believe(r.config.Hold(), sharedHold); err != nil {
			r.log().Warn("the program in the kernel will stop to answer", "err", err)
		}
	}
}

// close detaches the program, and counts what it has answered.
func (f *running) close(counters *ndp.Counters) error {
	var errs []error
	if f.hook != nil {
		errs = append(errs, f.hook.Close())
	}
	close(f.stop)
	if f.reader != nil {
		errs = append(errs, f.reader.Close())
	}
	f.tasks.Wait()
	if f.device != nil {
		f.device.close()
	}
	return errors.Join(append(errs, f.program.count(counters), f.program.Close())...)
}

// Path implements [ndp.Responder].
func (r *Responder) Path() ndp.Path { return *r.path.Load() }

// SetInterface implements [ndp.Responder].
func (r *Responder) SetInterface(i *ndp.Interface) {
	r.Listener.SetInterface(i)
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.config
	r.iface, r.config = i, i.Facts().Uplink
	if r.config.FastPath != before.FastPath {
		clear(r.refused)
	}
	if r.config.FastPath != before.FastPath || r.config.ConsumeUnicast != before.ConsumeUnicast {
		r.fallBack(errNotAsked) // the socket answers meanwhile
		r.start()
		return
	}
	if r.fast == nil {
		return
	}
	if err := r.fast.program.SetInterface(i); err != nil {
		r.fallBack(err)
	}
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
			r.showLines()
		}
	}
	return r.Listener.SetView(view, deltas)
}

// showLines brings the path's figures up to date.
func (r *Responder) showLines() {
	path := *r.path.Load()
	path.Lines, path.Inherited = r.fast.program.lines()
	r.path.Store(&path)
}

// Settle implements [ndp.Responder].
func (r *Responder) Settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fast == nil {
		return
	}
	if err := r.fast.program.Settle(); err != nil {
		r.fallBack(err)
		return
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

// Hold implements [ndp.Responder].
func (r *Responder) Hold() error { return r.Close() }

// Close implements [ndp.Responder].
func (r *Responder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	var err error
	if r.fast != nil {
		err = r.fast.close(r.counters)
		r.fast = nil
	}
	return errors.Join(err, r.Listener.Close())
}

var _ ndp.Responder = (*Responder)(nil)
