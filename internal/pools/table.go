// SPDX-License-Identifier: Apache-2.0

package pools

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// ErrFull is wrapped by the error for a service that gets no address because no pool
// that it may use has a free one. It is worth another try when an address is released.
var ErrFull = errors.New("no free address")

// Table knows who has which address.
type Table struct {
	pools    []Pool
	services map[string]*Request
	users    map[netip.Addr][]string
	nodes    map[netip.Addr]string       // addresses of nodes, which no service gets
	lowest   map[netip.Prefix]netip.Addr // below it no address is free
}

// NewTable makes a table for pools that [Check] has nothing against.
func NewTable(pools []Pool) *Table {
	return &Table{
		pools: pools, services: make(map[string]*Request), users: make(map[netip.Addr][]string),
		lowest: make(map[netip.Prefix]netip.Addr),
	}
}

// SetNodes names the addresses of nodes, of which no service gets one, and reports whether
// they are others than before.
func (t *Table) SetNodes(nodes map[netip.Addr]string) (changed bool) {
	if maps.Equal(nodes, t.nodes) {
		return false
	}
	t.nodes = nodes
	clear(t.lowest)
	return true
}

// Keep registers the addresses that a service has already, and reports whether it may have
// them: no node and no other service does. A leader that is new has all services keep
// theirs before it assigns any, so that nobody is given what another one has.
func (t *Table) Keep(r Request) bool {
	if len(r.Has) == 0 || slices.ContainsFunc(r.Has, func(a netip.Addr) bool { return t.taken(&r, a) != nil }) {
		return false
	}
	t.add(&r)
	return true
}

// Assign returns the addresses that a service has from now on: what it wants, else what
// it has by its status, else what it was assigned last, as a status may be read late or
// be wiped by somebody, else a free one. An error says why it gets none; what it had is
// released then, but for an address that no pool has any more, which stays: whoever takes
// a pool away does not mean the services that run.
func (t *Table) Assign(r Request) ([]netip.Addr, error) {
	var last []netip.Addr
	if had := t.services[r.Service]; had != nil {
		last = had.Has
	}
	t.Release(r.Service)
	got, err := t.choose(&r, last)
	if err != nil {
		return nil, err
	}
	r.Has = got
	t.add(&r)
	return got, nil
}

// add makes a service a user of the addresses that it has.
func (t *Table) add(r *Request) {
	t.services[r.Service] = r
	for _, a := range r.Has {
		t.users[a] = append(t.users[a], r.Service)
	}
}

func (t *Table) choose(r *Request, last []netip.Addr) ([]netip.Addr, error) {
	if r.Pool != "" && t.pool(r.Pool) == nil {
		return nil, fmt.Errorf("there is no pool %q: there are %s", r.Pool, t.names())
	}
	if len(r.Wanted) > 0 {
		for _, a := range r.Wanted {
			if err := t.fits(r, a); err != nil {
				return nil, err
			}
		}
		return r.Wanted, nil
	}
	for _, has := range [][]netip.Addr{r.Has, last} {
		if len(has) > 0 && !slices.ContainsFunc(has, func(a netip.Addr) bool { return !t.keeps(r, a) }) {
			return has, nil
		}
	}
	if a, ok := t.shared(r); ok {
		return []netip.Addr{a}, nil
	}
	return t.free(r)
}

// keeps reports whether a service may keep an address.
func (t *Table) keeps(r *Request, a netip.Addr) bool {
	if t.poolOf(a) == nil { // its pool is no more
		return r.Pool == "" && t.taken(r, a) == nil
	}
	return t.fits(r, a) == nil
}

// fits says why a service cannot have an address, nil if it can.
func (t *Table) fits(r *Request, a netip.Addr) error {
	p := t.poolOf(a)
	switch {
	case p == nil:
		return fmt.Errorf("%s is in no pool: there are %s", a, t.names())
	case r.Pool != "" && r.Pool != p.Name:
		return fmt.Errorf("%s is in pool %q, and the service asks for pool %q", a, p.Name, r.Pool)
	case !p.serves(r.Namespace):
		return fmt.Errorf("%s is in pool %q, which is not for namespace %q", a, p.Name, r.Namespace)
	}
	return t.taken(r, a)
}

// taken says who has an address, nil if the service can have it.
func (t *Table) taken(r *Request, a netip.Addr) error {
	if node, ok := t.nodes[a]; ok {
		return fmt.Errorf("%s is an address of node %s", a, node)
	}
	for _, key := range t.users[a] {
		if why := r.conflict(t.services[key]); why != "" {
			return fmt.Errorf("%s is in use by service %s, %s", a, key, why)
		}
	}
	return nil
}

// shared returns the lowest address that the service may share with others of its key.
func (t *Table) shared(r *Request) (netip.Addr, bool) {
	var best netip.Addr
	if r.ShareKey == "" {
		return best, false
	}
	for _, o := range t.services {
		if o.ShareKey != r.ShareKey {
			continue
		}
		for _, a := range o.Has {
			if t.fits(r, a) == nil && (!best.IsValid() || a.Less(best)) {
				best = a
			}
		}
	}
	return best, best.IsValid()
}

// free returns the lowest free address of the first pool that has one.
func (t *Table) free(r *Request) ([]netip.Addr, error) {
	var tried []string
	for i := range t.pools {
		p := &t.pools[i]
		if r.Pool == "" && p.Manual || r.Pool != "" && r.Pool != p.Name || !p.serves(r.Namespace) {
			continue
		}
		for _, prefix := range p.Prefixes {
			if a, ok := t.lowestFree(p, prefix); ok {
				return []netip.Addr{a}, nil
			}
		}
		tried = append(tried, fmt.Sprintf("pool %q is full", p.Name))
	}
	if tried == nil {
		return nil, fmt.Errorf("%w: no pool is for services of namespace %q that ask for none", ErrFull, r.Namespace)
	}
	return nil, fmt.Errorf("%w: %s", ErrFull, strings.Join(tried, ", "))
}

func (t *Table) lowestFree(p *Pool, prefix netip.Prefix) (netip.Addr, bool) {
	a, ok := t.lowest[prefix]
	if !ok {
		a = prefix.Addr()
	}
	for prefix.Contains(a) && (!p.contains(a) || len(t.users[a]) > 0 || t.nodes[a] != "") {
		a = a.Next() // invalid after the last address there is, which no prefix contains
	}
	t.lowest[prefix] = a
	return a, prefix.Contains(a)
}

// Release takes the addresses of a service back, and reports whether it had some.
func (t *Table) Release(service string) bool {
	r := t.services[service]
	if r == nil {
		return false
	}
	delete(t.services, service)
	for _, a := range r.Has {
		if left := slices.DeleteFunc(t.users[a], func(key string) bool { return key == service }); len(left) > 0 {
			t.users[a] = left
			continue
		}
		delete(t.users, a)
		for prefix, low := range t.lowest {
			if prefix.Contains(a) && (!low.IsValid() || a.Less(low)) {
				t.lowest[prefix] = a
			}
		}
	}
	return true
}

// Used returns how many addresses of each pool are in use, by its name.
func (t *Table) Used() map[string]int {
	used := make(map[string]int, len(t.pools))
	for _, p := range t.pools {
		used[p.Name] = 0
	}
	for a := range t.users {
		if p := t.poolOf(a); p != nil {
			used[p.Name]++
		}
	}
	return used
}

// Holds reports whether a service has addresses.
func (t *Table) Holds(service string) bool { return t.services[service] != nil }

func (t *Table) pool(name string) *Pool {
	if i := slices.IndexFunc(t.pools, func(p Pool) bool { return p.Name == name }); i >= 0 {
		return &t.pools[i]
	}
	return nil
}

func (t *Table) poolOf(a netip.Addr) *Pool {
	if i := slices.IndexFunc(t.pools, func(p Pool) bool { return p.contains(a) }); i >= 0 {
		return &t.pools[i]
	}
	return nil
}

func (t *Table) names() string {
	names := make([]string, len(t.pools))
	for i, p := range t.pools {
		names[i] = fmt.Sprintf("%q", p.Name)
	}
	return strings.Join(names, ", ")
}
