// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// registers are those of nftables, by the number of their first four octets.
type registers map[uint32]vector

// slot returns the number of a register's first four octets: registers 1 to 4 are
// of 16 octets and lie over those from 8 on (NFT_REG32_00).
func slot(register uint32) uint32 {
	if register >= unix.NFT_REG_1 && register <= unix.NFT_REG_4 {
		return unix.NFT_REG32_00 + 4*(register-unix.NFT_REG_1)
	}
	return register
}

// rule returns what a rule does with the packet.
func (e *evaluation) rule(c chain, rule []expression) []step {
	regs, match := make(registers), yes
	var steps []step
	add := func(v verdict) { steps = append(steps, step{match, v}) }
	for _, x := range rule {
		switch x.name {
		case "meta", "payload", "ct", "fib":
			if v, ok := e.load(x); ok {
				regs[slot(register(x))] = v
			} else if x.name == "payload" && writesDestination(x) {
				add(verdict{kind: translates})
			}
		case "bitwise":
			regs[slot(x.number(unix.NFTA_BITWISE_DREG))] = bitwise(x, regs)
		case "cmp":
			match = match.and(compare(x, regs))
		case "range":
			match = match.and(inRange(x, regs))
		case "lookup":
			m, verdicts := e.lookup(c, x, regs)
			if verdicts == nil {
				match = match.and(m)
				break
			}
			for _, v := range verdicts {
				steps = append(steps, step{match.and(v.match), v.verdict})
			}
			match = match.and(m)
		case "immediate":
			dreg := x.number(unix.NFTA_IMMEDIATE_DREG)
			if dreg != unix.NFT_REG_VERDICT {
				regs[slot(dreg)] = known(x.value(unix.NFTA_IMMEDIATE_DATA))
				break
			}
			add(parseVerdict(parse(parse(x.attributes[unix.NFTA_IMMEDIATE_DATA])[unix.NFTA_DATA_VERDICT])))
		case "match":
			match = match.and(e.extension(x))
		case "counter", "log", "notrack", "flow_offload", "last", "dup", "secmark":
		case "objref":
			if kind := x.number(unix.NFTA_OBJREF_IMM_TYPE); kind != unix.NFT_OBJECT_COUNTER && kind != unix.NFT_OBJECT_CT_HELPER {
				match = match.and(maybe) // a quota, a limit, or a map of some
			}
		case "reject":
			add(verdict{kind: drops})
		case "target":
			add(target(x))
		case "nat":
			if x.number(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_DNAT {
				add(verdict{kind: translates})
			} else {
				add(verdict{kind: masquerades})
			}
		case "masq":
			add(verdict{kind: masquerades})
		case "redir", "tproxy":
			add(verdict{kind: translates})
		case "queue", "synproxy":
			add(verdict{kind: unsure})
		default: // it may be a condition as well as a load
			match = match.and(maybe)
			clear(regs)
		}
		if match == no {
			break
		}
	}
	return steps
}

// register returns the register that an expression loads.
func register(x expression) uint32 {
	switch x.name {
	case "meta":
		return x.number(unix.NFTA_META_DREG)
	case "payload":
		return x.number(unix.NFTA_PAYLOAD_DREG)
	case "ct":
		return x.number(unix.NFTA_CT_DREG)
	}
	return x.number(unix.NFTA_FIB_DREG)
}

// get returns the octets of a register that a comparison asks for.
func (r registers) get(register uint32, n int) vector {
	if v, ok := r[slot(register)]; ok && len(v.bits) >= n {
		return v.part(0, n)
	}
	return unknown(n)
}

func compare(x expression, regs registers) truth {
	data := x.value(unix.NFTA_CMP_DATA)
	v, least := regs.get(x.number(unix.NFTA_CMP_SREG), len(data)), make([]byte, len(data))
	switch x.number(unix.NFTA_CMP_OP) {
	case unix.NFT_CMP_EQ:
		return v.equals(data)
	case unix.NFT_CMP_NEQ:
		return v.equals(data).not()
	case unix.NFT_CMP_LT:
		return v.within(least, data)
	case unix.NFT_CMP_LTE:
		return v.within(least, after(data))
	case unix.NFT_CMP_GT:
		return v.within(least, after(data)).not()
	case unix.NFT_CMP_GTE:
		return v.within(data, nil)
	}
	return maybe
}

func inRange(x expression, regs registers) truth {
	from, to := x.value(unix.NFTA_RANGE_FROM_DATA), x.value(unix.NFTA_RANGE_TO_DATA)
	is := regs.get(x.number(unix.NFTA_RANGE_SREG), len(from)).within(from, after(to))
	if x.number(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ {
		return is.not()
	}
	return is
}

// after returns the value that follows, nil for none.
func after(b []byte) []byte {
	out := append([]byte(nil), b...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out
		}
	}
	return nil
}

func bitwise(x expression, regs registers) vector {
	n := int(x.number(unix.NFTA_BITWISE_LEN))
	mask := x.value(unix.NFTA_BITWISE_MASK)
	if x.number(bitwiseOp) != 0 || len(mask) != n {
		return unknown(n)
	}
	return regs.get(x.number(unix.NFTA_BITWISE_SREG), n).masked(mask, x.value(unix.NFTA_BITWISE_XOR))
}

// lookup tells whether a set has a value. For a verdict map it returns the verdicts
// that may hold as well, and whether the rule goes on.
func (e *evaluation) lookup(c chain, x expression, regs registers) (truth, []step) {
	elements, ok := e.set.elementsOf(c, x.text(unix.NFTA_LOOKUP_SET))
	isMap := x.has(unix.NFTA_LOOKUP_DREG)
	if !ok {
		return maybe, []step{{maybe, verdict{kind: unsure}}}
	}
	found := no
	steps := []step{}
	for _, i := range intervals(elements) {
		m := maybe
		if n := len(i.first); n > 0 && !i.unsure {
			m = regs.get(x.number(unix.NFTA_LOOKUP_SREG), n).within(i.first, i.end)
		}
		if m == no {
			continue
		}
		if i.verdict != nil {
			steps = append(steps, step{m, *i.verdict})
		}
		if found = m; m == yes {
			break
		}
	}
	switch {
	case isMap && x.number(unix.NFTA_LOOKUP_DREG) == unix.NFT_REG_VERDICT:
		return found, steps
	case isMap:
		regs[slot(x.number(unix.NFTA_LOOKUP_DREG))] = unknown(16)
	case x.number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0:
		found = found.not()
	}
	return found, nil
}

// interval is what an element of a set stands for.
type interval struct {
	first, end []byte
	// unsure is true for what is not understood here.
	unsure  bool
	verdict *verdict
}

// stateOctets returns a state as the kernel has it in a register.
func stateOctets(s State) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(s)) }
