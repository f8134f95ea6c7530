// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"iter"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Tables are the routing tables and devices at one moment. Only the function
// that [Routes.Read] calls may use them, and must not keep them.
type Tables struct{ r *Routes }

// Read calls f with the tables, which hold still until it returns. f must not
// call methods of r, and must not wait for anything: the watcher waits for it.
func (r *Routes) Read(f func(Tables)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f(Tables{r})
}

// Decision is the route that the kernel takes for a prefix.
type Decision struct {
	// Prefix is the route's own.
	Prefix netip.Prefix
	// Table is the number of the table that has it.
	Table uint32
	// Paths are those with the lowest metric, at least one, in the kernel's
	// order. They are shared: do not change them.
	Paths []Path
}

// Decide returns what the kernel takes for a prefix as a whole: the most specific
// route of the first table that has one. It returns false for no route.
func (t Tables) Decide(p netip.Prefix) (Decision, bool) {
	for _, id := range t.r.order {
		if at, paths, ok := t.r.tables[id].covering(p); ok {
			return Decision{Prefix: at, Table: id, Paths: paths}, true
		}
	}
	return Decision{}, false
}

// Decisions yields the routes that the kernel gets to see, in no order: those
// that no route of an earlier table hides.
func (t Tables) Decisions() iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for i, id := range t.r.order {
			for p, paths := range t.r.tables[id].paths.All() {
				if !t.hidden(p, i) && !yield(Decision{Prefix: p, Table: id, Paths: best(*paths)}) {
					return
				}
			}
		}
	}
}

// Within yields the routes to parts of a prefix that the kernel gets to see.
func (t Tables) Within(p netip.Prefix) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for i, id := range t.r.order {
			for q, paths := range t.r.tables[id].paths.Subnets(p) {
				if !t.hidden(q, i) && !yield(Decision{Prefix: q, Table: id, Paths: best(*paths)}) {
					return
				}
			}
		}
	}
}

// hidden reports whether one of the first n tables has a route for the prefix.
func (t Tables) hidden(p netip.Prefix, n int) bool {
	for _, id := range t.r.order[:n] {
		if _, _, ok := t.r.tables[id].covering(p); ok {
			return true
		}
	}
	return false
}

// Device returns the device with that index, and false for none.
func (t Tables) Device(index int32) (Device, bool) {
	d, ok := t.r.devices[index]
	return d, ok
}

// Index returns the index of the device with that name, 0 for none.
func (t Tables) Index(name string) int32 { return t.r.names[name] }

// Policy returns the policy rules that are not followed, as "ip -6 rule" shows
// them.
func (t Tables) Policy() []string { return t.r.policy }

// Format shows a route as "ip -6 route" does.
func (t Tables) Format(d Decision) string {
	var b strings.Builder
	if d.Paths[0].Kind != unix.RTN_UNICAST {
		b.WriteString(d.Paths[0].TypeName() + " ")
	}
	if d.Prefix.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(d.Prefix.String())
	}
	for _, p := range d.Paths {
		if p.Gateway.IsValid() {
			b.WriteString(" via " + p.Gateway.String())
		}
		if p.Index != 0 {
			b.WriteString(" dev " + t.r.deviceName(p.Index))
		}
	}
	return b.String()
}

// deviceName returns a device's name, or its index as text where it is unknown.
func (r *Routes) deviceName(index int32) string {
	if d := r.devices[index]; d.Name != "" {
		return d.Name
	}
	return strconv.Itoa(int(index))
}
