// SPDX-License-Identifier: Apache-2.0

package firewall

import "bytes"

// truth is whether a rule matches.
type truth uint8

const (
	maybe truth = iota
	yes
	no
)

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	case maybe:
	}
	return maybe
}

// and combines the conditions of a rule.
func (t truth) and(o truth) truth {
	switch {
	case t == no || o == no:
		return no
	case t == yes && o == yes:
		return yes
	}
	return maybe
}

// vector is a value of which some bits are known.
type vector struct{ bits, known []byte }

// known returns the vector of a value that is known as a whole.
func known(b []byte) vector { return vector{bits: b, known: bytes.Repeat([]byte{0xff}, len(b))} }

// unknown returns a vector of which nothing is known.
func unknown(n int) vector { return vector{bits: make([]byte, n), known: make([]byte, n)} }

// part returns some octets of a vector, and what is not there as unknown.
func (v vector) part(offset, n int) vector {
	p := unknown(n)
	if offset < len(v.bits) {
		copy(p.bits, v.bits[offset:])
		copy(p.known, v.known[offset:])
	}
	return p
}

// masked returns (v & mask) ^ xor.
func (v vector) masked(mask, xor []byte) vector {
	r := unknown(len(mask))
	for i := range mask {
		if i >= len(v.bits) {
			break
		}
		r.known[i] = v.known[i] | ^mask[i]
		r.bits[i] = v.bits[i] & mask[i]
		if i < len(xor) {
			r.bits[i] ^= xor[i]
		}
		r.bits[i] &= r.known[i]
	}
	return r
}

// equals reports whether the vector begins with the value.
func (v vector) equals(value []byte) truth {
	result := yes
	for i, b := range value {
		if i >= len(v.bits) {
			return maybe
		}
		if (v.bits[i]^b)&v.known[i] != 0 {
			return no
		}
		if v.known[i] != 0xff {
			result = maybe
		}
	}
	return result
}

// span returns the least and the greatest value that the vector may have.
func (v vector) span() (least, most []byte) {
	least, most = make([]byte, len(v.bits)), make([]byte, len(v.bits))
	for i := range v.bits {
		least[i] = v.bits[i] & v.known[i]
		most[i] = least[i] | ^v.known[i]
	}
	return least, most
}

// within reports whether the value is from first on and before end, which is nil
// for no end. It may say maybe of a vector whose known bits do not come first.
func (v vector) within(first, end []byte) truth {
	least, most := v.span()
	if len(first) != len(least) || end != nil && len(end) != len(least) {
		return maybe
	}
	switch {
	case bytes.Compare(most, first) < 0 || end != nil && bytes.Compare(least, end) >= 0:
		return no
	case bytes.Compare(least, first) >= 0 && (end == nil || bytes.Compare(most, end) < 0):
		return yes
	}
	return maybe
}
