// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"maps"
	"slices"
	"sync"
)

// station is an entry of a bridge's forwarding table.
type station struct {
	mac  [6]byte
	vlan uint16
}

// portStations bounds how many stations are kept of one virtual port. A container
// or a virtual machine has one, or few when it is a bridge itself; who makes up
// MAC addresses there takes room from nobody else.
const portStations = 256

// bridges follows which stations are behind the virtual ports of bridges: those
// that lead to containers and machines of this node, with the ports' own MAC
// addresses. Stations behind other ports cost nothing but the look at the port.
type bridges struct {
	mu      sync.Mutex
	devices map[int32]Device
	ports   map[int32]map[station]int32 // of a bridge: behind which port
	counts  map[int32]int               // stations of a port
	// snapshots of what changed are made when somebody asks.
	snapshots map[int32]map[[6]byte]bool
	asked     map[int32]bool // somebody looks at this bridge
	changed   map[int32]bool // since the last call of take
}

func newBridges() *bridges {
	b := new(bridges)
	b.clear()
	b.asked, b.changed = make(map[int32]bool), make(map[int32]bool)
	return b
}

func (b *bridges) clear() {
	b.devices, b.ports, b.counts = make(map[int32]Device), make(map[int32]map[station]int32), make(map[int32]int)
	b.snapshots = make(map[int32]map[[6]byte]bool)
}

// isVirtual reports whether a port of a bridge leads to this node itself.
func isVirtual(d Device) bool {
	return slices.Contains([]string{"veth", "netkit", "tuntap", "tun", "macvtap"}, d.Kind)
}

// setDevice takes over what the kernel says of a device. A port that leaves its
// bridge takes its stations along.
func (b *bridges) setDevice(d Device, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, known := b.devices[d.Index]
	if gone {
		delete(b.devices, d.Index)
	} else {
		b.devices[d.Index] = d
	}
	if known && old.Master != 0 && (gone || d.Master != old.Master) {
		for s, port := range b.ports[old.Master] {
			if port == d.Index {
				b.remove(old.Master, s)
			}
		}
	}
	if gone {
		for s := range b.ports[d.Index] {
			b.remove(d.Index, s)
		}
		delete(b.ports, d.Index)
		delete(b.snapshots, d.Index)
		delete(b.asked, d.Index)
		delete(b.changed, d.Index)
		delete(b.counts, d.Index)
	}
}

// learn follows that a station is behind a port now.
func (b *bridges) learn(bridge, port int32, s station) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(bridge, port, s)
}

func (b *bridges) put(bridge, port int32, s station) {
	if s.mac[0]&1 != 0 { // a group is no station
		return
	}
	at, known := b.ports[bridge][s]
	switch {
	case known && at == port:
		return
	case known:
		b.remove(bridge, s)
	}
	if !isVirtual(b.devices[port]) || b.counts[port] >= portStations {
		return
	}
	if b.ports[bridge] == nil {
		b.ports[bridge] = make(map[station]int32)
	}
	b.ports[bridge][s] = port
	b.counts[port]++
	b.touch(bridge)
}

// forget follows that a station is no longer behind a port.
func (b *bridges) forget(bridge, port int32, s station) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ports[bridge][s] == port {
		b.remove(bridge, s)
	}
}

// remove takes a station out.
func (b *bridges) remove(bridge int32, s station) {
	port, ok := b.ports[bridge][s]
	if !ok {
		return
	}
	delete(b.ports[bridge], s)
	if b.counts[port]--; b.counts[port] <= 0 {
		delete(b.counts, port)
	}
	b.touch(bridge)
}

func (b *bridges) touch(bridge int32) {
	delete(b.snapshots, bridge)
	b.changed[bridge] = true
}

// replace takes a whole reading over.
func (b *bridges) replace(n *bridges) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for bridge := range b.asked {
		if !maps.Equal(b.ports[bridge], n.ports[bridge]) {
			b.changed[bridge] = true
		}
	}
	b.devices, b.ports, b.counts = n.devices, n.ports, n.counts
	clear(b.snapshots)
}

// isChanged reports whether take would return something.
func (b *bridges) isChanged() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for bridge := range b.changed {
		if b.asked[bridge] {
			return true
		}
	}
	return false
}

// take returns the bridges whose stations changed since the last call, and that
// somebody asked for.
func (b *bridges) take() []int32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.changed) == 0 {
		return nil
	}
	var list []int32
	for bridge := range b.changed {
		if b.asked[bridge] {
			list = append(list, bridge)
		}
	}
	clear(b.changed)
	return list
}

// stations returns the MAC addresses behind the virtual ports of a bridge. The
// map never changes.
func (b *bridges) stations(bridge int32) map[[6]byte]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.asked[bridge] { // this is the first report
		b.asked[bridge] = true
		delete(b.changed, bridge)
	}
	if m, ok := b.snapshots[bridge]; ok {
		return m
	}
	m := make(map[[6]byte]bool, len(b.ports[bridge]))
	for s := range b.ports[bridge] {
		m[s.mac] = true
	}
	b.snapshots[bridge] = m
	return m
}
