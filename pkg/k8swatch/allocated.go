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
	// Gone is true when no service has the address any more.
	Gone bool
	// Service is the service that has it, the first by name of several.
	Service Service
	Kind    ServiceKind
	// Local is true when only Nodes, in order, take traffic for it.
	Local bool
	Nodes []string
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
		for _, sa := range a.services[key].Addresses {
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
	c := AddressChange{Address: addr, Gone: true, Local: true}
	nodes := make(map[string]bool)
	for _, key := range a.byAddress[addr] {
		s := a.services[key]
		if c.Gone {
			c.Gone, c.Service = false, s
		}
		for _, sa := range s.Addresses {
			if sa.Address != addr {
				continue
			}
			if c.Kind == "" {
				c.Kind = sa.Kind
			}
			c.Local = c.Local && sa.Local // one that any node takes is enough
		}
		if p := a.byService[key]; p != nil {
			for slice := range p.slices {
				for _, n := range a.slices[slice].Nodes {
					nodes[n] = true
				}
			}
		}
	}
	if c.Local = c.Local && !c.Gone; c.Local {
		c.Nodes = slices.Sorted(maps.Keys(nodes))
	}
	return c
}
