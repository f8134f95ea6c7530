// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf"

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
	ahead    uint64    // see kernelAhead

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
	if p.ahead, err = kernelAhead(); err != nil {
		return nil, errors.Join(err, p.maps.close())
	}
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

// Believe makes the program answer until then, and do until aliveUntil what it must not do
// when the daemon is dead; 0 is for no more at once. After an error the program goes by what
// it was told before.
func (p *Program) Believe(until, aliveUntil time.Duration) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	now += p.ahead
	var d programDeadlines // 0 is before any time
	if until > 0 {
		d.Until = now + uint64(until)
	}
	if aliveUntil > 0 {
		d.AliveUntil = now + uint64(aliveUntil)
	}
	if err := p.objects.Life.Put(uint32(0), &d); err != nil {
		return fmt.Errorf("give sign of life: %w", err)
	}
	return nil
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
