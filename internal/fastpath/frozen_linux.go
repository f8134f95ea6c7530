// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// errFrozen says that the system call cannot write to a map any more (BPF_MAP_FREEZE), for
// as long as there is the map: others have to take the place of all.
var errFrozen = errors.New("another has made it read-only")

// unfrozen returns an error where one of the maps is frozen, by the names in the program, or
// the map that the folder tells of itself by. Counters may be: the program alone writes those.
func unfrozen(maps map[string]*ebpf.Map, aboutMap *ebpf.Map) error {
	for name, m := range maps {
		if name == programMapCounters {
			continue
		}
		if err := notFrozen(name, m); err != nil {
			return err
		}
	}
	return notFrozen(pinnedAbout, aboutMap)
}

func notFrozen(name string, m *ebpf.Map) error {
	info, err := m.Info()
	switch {
	case err != nil:
		return fmt.Errorf("look at the map %s: %w", name, err)
	case info.Frozen():
		return fmt.Errorf("the map %s: %w", name, errFrozen)
	}
	return nil
}
