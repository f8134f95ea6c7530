// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// layout numbers what the maps mean. Whoever changes that, in bpf/table.h or in what is
// pinned, counts it up, also where all sizes stay the same: a daemon with another layout
// makes maps of its own.
const layout = 2

// about is what a folder tells of itself, in a map that no program reads.
type about struct {
	Layout uint32
	// Index is the device that the program is attached to, and Way how.
	Index uint32
	Way   uint32
	// AllMulticast is 1 where the daemon has set the device's flag of that name, and
	// Groups where it has given the device link-layer addresses of groups.
	AllMulticast, Groups uint32
	_                    uint32
	// Owner is of the responder that has the folder, among those of all processes.
	Owner uint64
	// What was read of the counters last.
	AnsweredMulticast, AnsweredUnicast, Redirected, RecordsLost uint64
}

func aboutSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "about", Type: ebpf.Array, KeySize: 4, ValueSize: 6*4 + 8 + 4*8, MaxEntries: 1}
}

func (a *about) way() ndp.Way { return ndp.Way(a.Way) } //nolint:gosec // one of few

// write puts it into the folder's map.
func (a *about) write(m *ebpf.Map) error {
	if err := m.Put(uint32(0), a); err != nil {
		return fmt.Errorf("write what the folder tells of itself: %w", err)
	}
	return nil
}

// readAbout returns what a folder tells of itself.
func readAbout(m *ebpf.Map) (a about, err error) {
	if err := m.Lookup(uint32(0), &a); err != nil {
		return about{}, fmt.Errorf("read what the folder tells of itself: %w", err)
	}
	return a, nil
}

// counts returns what was read of the counters last.
func (a *about) counts() programCounts {
	return programCounts{
		AnsweredMulticast: a.AnsweredMulticast, AnsweredUnicast: a.AnsweredUnicast,
		Redirected: a.Redirected, RecordsLost: a.RecordsLost,
	}
}

func (a *about) setCounts(c *programCounts) {
	a.AnsweredMulticast, a.AnsweredUnicast, a.Redirected, a.RecordsLost = c.AnsweredMulticast, c.AnsweredUnicast, c.Redirected, c.RecordsLost
}
