// SPDX-License-Identifier: Apache-2.0

package fastpath

import "net/netip"

// memory is a store in memory, which looks up as bpf/answer.c does. Lines change one after the
// other, as in the kernel, however many are given at a time, and after each it calls then.
type memory struct {
	slots [2]struct {
		made [2]int // room of the hash and of the trie
		maps [2]map[netip.Prefix]line
	}
	facts programFacts
	fails error // of the next change
	then  func()
	calls int
}

func (m *memory) change(f func() error) error {
	if m.calls++; m.fails != nil {
		err := m.fails
		m.fails = nil
		return err
	}
	err := f()
	if m.then != nil {
		m.then()
	}
	return err
}

func (m *memory) Make(slot uint32, lines, tries int) error {
	return m.change(func() error {
		s := &m.slots[slot]
		s.made = [2]int{lines, tries}
		s.maps = [2]map[netip.Prefix]line{{}, {}}
		return nil
	})
}

func (m *memory) Put(slot uint32, trie bool, keys []key, lines []line) error {
	for i := range keys {
		err := m.change(func() error {
			s := &m.slots[slot]
			in, p := s.maps[one(trie)], keys[i].prefix()
			if _, is := in[p]; !is && len(in) == s.made[one(trie)] {
				return errFull
			}
			in[p] = lines[i]
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Delete(slot uint32, trie bool, keys []key) error {
	for _, k := range keys {
		err := m.change(func() error {
			delete(m.slots[slot].maps[one(trie)], k.prefix())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) SetFacts(f *programFacts) error {
	return m.change(func() error {
		m.facts = *f
		return nil
	})
}

// find returns the line that decides for an address, as find of bpf/answer.c does.
func (m *memory) find(a netip.Addr) (found line) {
	s := &m.slots[m.facts.Slot]
	if m.facts.HasTrie == 1 {
		for bits := 128; bits >= 0 && found == 0; bits-- {
			found = s.maps[1][netip.PrefixFrom(a, bits).Masked()]
		}
	}
	for _, c := range m.facts.Class[:m.facts.Classes] {
		if found != 0 && line(c.Bits) <= found>>lengthFrom {
			return found
		}
		if l := s.maps[0][netip.PrefixFrom(a, int(c.Bits)).Masked()]; l != 0 {
			return l
		}
	}
	return found
}

func (m *memory) answers(a netip.Addr) bool { return m.find(a)&lineAnswer != 0 }
