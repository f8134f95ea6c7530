// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Program is the program of one uplink with its maps, whether attached or not. Its
// methods may be called from any goroutine, and do not wait for the network.
type Program struct {
	objects  programObjects
	maps     mapStore
	consume  bool      // it keeps unicast solicitations from the kernel's IPv6
	aboutMap *ebpf.Map // the one that the folder of pins tells of itself by

	mu    sync.Mutex // guards what follows, and orders the changes of the maps
	table table
	about about         // what the folder tells of itself
	read  programCounts // what was read of the counters last, the sum over processors
	// changes counts what the daemon has changed of the maps, and seen is what they
	// looked like last.
	changes uint64
	seen    seen
	closed  bool
}

// Load loads the program into the kernel, with a table that answers for nothing. consume
// is true where it keeps unicast solicitations from the kernel's IPv6 that it does not
// answer, if the uplink asks for that.
func Load(consume bool) (*Program, error) { return load(consume, nil) }

// load loads the program, with those maps of an earlier one that there are, by their names.
func load(consume bool, maps map[string]*ebpf.Map) (*Program, error) {
	spec, err := loadProgram()
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	p := &Program{consume: consume}
	if err := spec.LoadAndAssign(&p.objects, &ebpf.CollectionOptions{MapReplacements: maps}); err != nil {
		return nil, notLoaded(err)
	}
	p.maps.objects = &p.objects
	p.maps.innerSpecs(spec)
	p.table.store = &p.maps
	if p.aboutMap, err = ebpf.NewMap(aboutSpec()); err != nil {
		return nil, errors.Join(fmt.Errorf("make map: %w", err), p.maps.close())
	}
	return p, nil
}

// fillTable fills the table of a program that was just loaded with the lines of a view, and of
// earlier what the view does not decide on. The program sees all at once.
func (p *Program) fillTable(i *ndp.Interface, view *rules.View, earlier *inherited) error {
	f, err := factsOf(i, p.consume)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	f.Slot = p.table.facts.Slot
	p.table.facts, p.table.inherited = f, earlier
	return p.table.rebuild(view)
}

// of returns the program for a way to attach it.
func (p *Program) of(w ndp.Way) *ebpf.Program {
	if w == ndp.WayTC {
		return p.objects.NdproxydTc
	}
	return p.objects.NdproxydXdp
}

// SetInterface replaces the facts of the interface. It fails where the program cannot
// decide on it, or the maps cannot be written.
func (p *Program) SetInterface(i *ndp.Interface) error {
	f, err := factsOf(i, p.consume)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	return p.table.setFacts(f)
}

// SetView replaces what is answered for.
func (p *Program) SetView(view *rules.View, deltas []rules.Delta) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	return p.table.setView(view, deltas)
}

// Settle gives up what an earlier daemon has left and nothing has confirmed.
func (p *Program) Settle() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	return p.table.settle()
}

// lines returns how many lines the table has of the view, and how many that are inherited.
func (p *Program) lines() (ofView, inherited int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.lines(), p.table.inherited.count()
}

// Believe makes the program answer until then, and for what other nodes take over until
// sharedUntil; 0 is for no more at once.
func (p *Program) Believe(until, sharedUntil time.Duration) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	var d programDeadlines // the program's clock is behind by up to a tick, so that now would be later than at once
	if until > 0 {
		d.Until = now + uint64(until)
	}
	if sharedUntil > 0 {
		d.SharedUntil = now + uint64(sharedUntil)
	}
	if err := p.objects.Life.Put(uint32(0), &d); err != nil {
		return fmt.Errorf("give sign of life: %w", err)
	}
	return nil
}

// monotonic returns the clock that the program reads, in nanoseconds.
func monotonic() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return uint64(ts.Nano()), nil //nolint:gosec // since the host has started
}

// Close releases the descriptors: the program goes on where something else holds it.
func (p *Program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.aboutMap.Close(), p.maps.close())
}

// Run puts a frame to the program as the tc hook of the device with that index would, in
// the calling thread's network namespace, or as XDP would. It returns the frame that the
// program answers with, nil where it passes the frame up. Nothing is sent.
func (p *Program) Run(frame []byte, xdp bool, index int) ([]byte, error) {
	out := make([]byte, len(frame)+256) // the kernel writes behind it what programs add
	o := ebpf.RunOptions{Data: frame, DataOut: out}
	program, answered := p.objects.NdproxydXdp, uint32(actTX)
	if !xdp {
		program, answered = p.objects.NdproxydTc, actRedirect
		skb := make([]byte, 192)                               // struct __sk_buff, whose field ifindex is the eleventh
		binary.NativeEndian.PutUint32(skb[40:], uint32(index)) //nolint:gosec // an index
		o.Context = skb
	}
	verdict, err := program.Run(&o)
	if err != nil {
		return nil, fmt.Errorf("run program: %w", err)
	}
	if verdict != answered {
		return nil, nil
	}
	return o.DataOut, nil
}

// What the program returns for a frame that it has made an answer of: TC_ACT_REDIRECT and
// XDP_TX.
const (
	actRedirect = 7
	actTX       = 3
)
