// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"maps"
	"net/netip"
	"slices"
)

// AddressChange is what holds for a service address from now on.
type AddressChange struct {
	Address netip.Addr
	// Gone is true when no service that counts has the address any more. Ignored then
	// says why Service, which has it, does not count; "" where none has it.
	Gone    bool
	Ignored string
	// Service is the service that has it, the first by name of several.
	Service Service
	// Kind is what it is of Service, and More what it is as well, of that or another
	// service.
	Kind ServiceKind
	More []ServiceKind
	// Local is true when only Nodes take traffic for it. Otherwise Nodes take
	// more of it than others do.
	Local bool
	// Nodes are those with an endpoint of a service with a Local policy, in order, and
	// Shares how much of the address each of them serves; nil where that is equal.
	Nodes  []string
	Shares []uint16
	// Uses are what each service that counts does with the address, in order of their
	// names.
	Uses []Use
}

// Use is what one service does with an address.
type Use struct {
	// Service is its namespace and name.
	Service string
	Kind    ServiceKind
	// Local is true when only Ready and Terminating take traffic, which are in order.
	// The latter have no ready endpoint, but one that serves while it terminates.
	Local              bool
	Ready, Terminating []string
	// Nodeless is true where every node takes traffic in spite of a Local policy,
	// because an endpoint names no node.
	Nodeless bool
}

// Serves reports whether a node takes traffic for the service.
func (u *Use) Serves(node string) bool {
	return !u.Local || slices.Contains(u.Ready, node) || slices.Contains(u.Terminating, node)
}

// share returns how much of an address a node serves, to compare nodes: by how many
// services, and of equals by how many with a ready endpoint.
func share(services, ready int) uint16 {
	const most = 1<<8 - 1
	return uint16(min(services, most))<<8 | uint16(min(ready, most)) //nolint:gosec // bounded
}

// allocated joins services and their endpoints to addresses.
type allocated struct {
	services  map[string]Service    // as the watcher keeps them
	slices    map[string]endpoints  // as the watcher keeps them
	byService map[string]*placement // what holds for each service
	byAddress map[netip.Addr][]string
}

// placement is where a service was found.
type placement struct {
	addresses []netip.Addr
	slices    map[string]bool // keys of its EndpointSlices
}

func newAllocated(services map[string]Service, eps map[string]endpoints) *allocated {
	return &allocated{services: services, slices: eps, byService: make(map[string]*placement), byAddress: make(map[netip.Addr][]string)}
}

func (a *allocated) placement(key string) *placement {
	p := a.byService[key]
	if p == nil {
		p = new(placement)
		a.byService[key] = p
	}
	return p
}

// servicesChanged takes changed services over.
func (a *allocated) servicesChanged(keys []string) []AddressChange {
	touched := make(map[netip.Addr]bool)
	for _, key := range keys {
		p := a.placement(key)
		for _, addr := range p.addresses {
			touched[addr] = true
			if users := slices.DeleteFunc(a.byAddress[addr], func(k string) bool { return k == key }); len(users) > 0 {
				a.byAddress[addr] = users
			} else {
				delete(a.byAddress, addr)
			}
		}
		p.addresses = nil
		s := a.services[key]
		for _, sa := range slices.Concat(s.Addresses, s.Ignored) {
			if slices.Contains(p.addresses, sa.Address) { // of another kind
				continue
			}
			p.addresses = append(p.addresses, sa.Address)
			touched[sa.Address] = true
			users := append(a.byAddress[sa.Address], key)
			slices.Sort(users)
			a.byAddress[sa.Address] = users
		}
		if len(p.addresses) == 0 && len(p.slices) == 0 {
			delete(a.byService, key)
		}
	}
	return a.changes(touched)
}

// slicesChanged takes changed EndpointSlices over. before has what they were of.
func (a *allocated) slicesChanged(keys []string, before map[string]string) []AddressChange {
	touched := make(map[netip.Addr]bool)
	for _, key := range keys {
		if service := before[key]; service != "" {
			p := a.placement(service)
			if delete(p.slices, key); len(p.slices) == 0 && len(p.addresses) == 0 {
				delete(a.byService, service)
			}
			a.touch(service, touched)
		}
		if s, ok := a.slices[key]; ok {
			p := a.placement(s.Service)
			if p.slices == nil {
				p.slices = make(map[string]bool)
			}
			p.slices[key] = true
			before[key] = s.Service
			a.touch(s.Service, touched)
		} else {
			delete(before, key)
		}
	}
	return a.changes(touched)
}

// touch marks the addresses of a service for which endpoints count.
func (a *allocated) touch(service string, touched map[netip.Addr]bool) {
	for _, sa := range a.services[service].Addresses {
		if sa.Local {
			touched[sa.Address] = true
		}
	}
}

// needsEndpoints reports whether a service takes traffic by its endpoints.
func (a *allocated) needsEndpoints() bool {
	for _, s := range a.services {
		if slices.ContainsFunc(s.Addresses, func(sa ServiceAddress) bool { return sa.Local }) {
			return true
		}
	}
	return false
}

// changes tells what holds for addresses.
func (a *allocated) changes(touched map[netip.Addr]bool) []AddressChange {
	cs := make([]AddressChange, 0, len(touched))
	for addr := range touched {
		cs = append(cs, a.change(addr))
	}
	return cs
}

func (a *allocated) change(addr netip.Addr) AddressChange {
	var kinds []ServiceKind
	c := AddressChange{Address: addr, Gone: true, Local: true}
	for _, key := range a.byAddress[addr] {
		s := a.services[key]
		use, ignored := a.use(key, &s, addr, &kinds)
		switch {
		case ignored != "":
			if c.Gone && c.Ignored == "" {
				c.Service, c.Ignored = s, ignored
			}
			continue
		case c.Gone:
			c.Gone, c.Service, c.Ignored = false, s, ""
		}
		c.Local = c.Local && use.Local // one that any node takes is enough
		c.Uses = append(c.Uses, use)
	}
	if c.Local = c.Local && !c.Gone; !c.Gone {
		c.Kind, c.More = kinds[0], kinds[1:]
	}
	c.Nodes, c.Shares = shares(c.Uses)
	return c
}

// use returns what a service does with one of its addresses, or why it does not count.
// The kinds of the address are added to kinds.
func (a *allocated) use(key string, s *Service, addr netip.Addr, kinds *[]ServiceKind) (use Use, ignored string) {
	counts := false
	for _, sa := range s.Addresses {
		if sa.Address != addr {
			continue
		}
		if !counts {
			counts, use = true, Use{Service: key, Kind: sa.Kind, Local: sa.Local}
		}
		use.Local = use.Local && sa.Local
		if !slices.Contains(*kinds, sa.Kind) {
			*kinds = append(*kinds, sa.Kind)
		}
	}
	if !counts {
		for _, sa := range s.Ignored {
			if sa.Address == addr {
				return use, sa.Why
			}
		}
		return use, "it no longer has the address"
	}
	if use.Local {
		a.place(&use)
	}
	return use, ""
}

// place fills in which nodes take traffic for a service with a Local policy: those with
// a ready endpoint, and those that have none but one that serves while it terminates, as
// kube-proxy decides it on each node.
func (a *allocated) place(use *Use) {
	p := a.byService[use.Service]
	if p == nil {
		return
	}
	ready, terminating := make(map[string]bool), make(map[string]bool)
	nodeless := servesNot
	for slice := range p.slices {
		e := a.slices[slice]
		nodeless = max(nodeless, e.Nodeless)
		for _, n := range e.Nodes {
			ready[n] = true
		}
		for _, n := range e.Terminating {
			terminating[n] = true
		}
	}
	maps.DeleteFunc(terminating, func(n string, _ bool) bool { return ready[n] })
	use.Ready, use.Terminating = slices.Sorted(maps.Keys(ready)), slices.Sorted(maps.Keys(terminating))
	if nodeless != servesNot {
		use.Local, use.Nodeless = false, true
	}
}

// shares returns the nodes with endpoints of services with a Local policy, in order, and
// how much each of them serves; nil where that is equal.
func shares(uses []Use) (nodes []string, each []uint16) {
	type served struct{ services, ready int }
	by := make(map[string]served)
	for i := range uses {
		for _, n := range uses[i].Ready {
			by[n] = served{by[n].services + 1, by[n].ready + 1}
		}
		for _, n := range uses[i].Terminating {
			by[n] = served{by[n].services + 1, by[n].ready}
		}
	}
	nodes = slices.Sorted(maps.Keys(by))
	equal := true
	for _, n := range nodes {
		each = append(each, share(by[n].services, by[n].ready))
		equal = equal && each[0] == each[len(each)-1]
	}
	if equal && !slices.ContainsFunc(uses, func(u Use) bool { return !u.Local }) {
		each = nil
	}
	return nodes, each
}
