// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// templateWord begins every template.
const templateWord = "uplink"

// The lengths that a template may have. The upper bound leaves out single
// addresses: the kernel answers for those of the uplink.
const (
	minTemplateBits = 16
	maxTemplateBits = 127
)

// groupBits is the size of what stands between two colons of an address
// (RFC 4291 §2.2).
const groupBits = 16

// Template is the prefix of a rule that is made of the prefixes of each uplink, and
// follows them as they come and go. Its forms are
//
//	uplink              the on-link prefixes as they are
//	uplink/64           the first 64 bits of each
//	uplink/64:f::/80    the first 64 bits of each, followed by a part of the prefix
//	uplink/64::5        the first 64 bits of each, followed by a host part
//
// The zero Template is none. Templates can be compared.
type Template struct {
	set    bool
	bits   int          // 0 for the prefixes as they are
	suffix netip.Prefix // zero in the first bits; not valid for none
}

// IsZero reports whether this is no template.
func (t Template) IsZero() bool { return !t.set }

// Equal reports whether two templates are the same.
func (t Template) Equal(o Template) bool { return t == o }

// Bits returns how many bits of the uplink's prefix are taken, 0 for all that it has.
func (t Template) Bits() int { return t.bits }

// Resolve returns what the template stands for where p is a prefix of the uplink. It
// is not valid where p is shorter than the bits that the template takes of it.
func (t Template) Resolve(p netip.Prefix) netip.Prefix {
	switch {
	case t.bits == 0:
		return p.Masked()
	case p.Bits() < t.bits:
		return netip.Prefix{}
	case !t.suffix.IsValid():
		return netip.PrefixFrom(p.Addr(), t.bits).Masked()
	}
	a, s := netip.PrefixFrom(p.Addr(), t.bits).Masked().Addr().As16(), t.suffix.Addr().As16()
	for i := range a {
		a[i] |= s[i]
	}
	return netip.PrefixFrom(netip.AddrFrom16(a), t.suffix.Bits())
}

// String returns the template as ParseTemplate reads it, "" for the zero Template.
func (t Template) String() string {
	switch {
	case !t.set:
		return ""
	case t.bits == 0:
		return templateWord
	case !t.suffix.IsValid():
		return templateWord + "/" + strconv.Itoa(t.bits)
	}
	// With no zero group before the suffix, the library shortens only the suffix.
	const ones = "ffff"
	before := strings.Repeat(":"+ones, t.bits/groupBits)[1:]
	a := t.suffix.Addr().As16()
	for i := range t.bits / 8 {
		a[i] = 0xff
	}
	s := templateWord + "/" + strconv.Itoa(t.bits) + strings.TrimPrefix(netip.AddrFrom16(a).String(), before)
	if !t.suffix.IsSingleIP() {
		s += "/" + strconv.Itoa(t.suffix.Bits())
	}
	return s
}

// IsTemplate reports whether a text is meant to be a template and not a prefix.
func IsTemplate(s string) bool { return strings.HasPrefix(s, templateWord) }

// ParseTemplate reads a template. Its errors say how to correct the text.
func ParseTemplate(s string) (Template, error) {
	rest, ok := strings.CutPrefix(s, templateWord)
	switch {
	case !ok, rest != "" && rest[0] != '/' && rest[0] != ':':
		return Template{}, fmt.Errorf("%q is not a prefix of the uplink (examples: \"uplink\", \"uplink/64\", \"uplink/64:f::/80\", \"uplink/64::5\")", s)
	case rest == "":
		return Template{set: true}, nil
	case rest[0] == ':':
		return Template{}, fmt.Errorf("%q does not say how many bits of the uplink's prefix come first (did you mean %q?)", s, templateWord+"/64"+rest)
	}
	length, suffix := rest[1:], ""
	if i := strings.IndexAny(length, ":/"); i >= 0 {
		length, suffix = length[:i], length[i:]
	}
	bits, err := strconv.Atoi(length)
	switch {
	case bits == maxTemplateBits+1:
		return Template{}, fmt.Errorf("%q is the uplink's own addresses, for which the kernel answers: write a shorter length", s)
	case err != nil || bits < minTemplateBits || bits > maxTemplateBits:
		return Template{}, fmt.Errorf("%q is not a number of bits, %d to %d, of the uplink's prefix (examples: \"uplink\", \"uplink/64\", \"uplink/64:f::/80\")", length, minTemplateBits, maxTemplateBits)
	case suffix == "":
		return Template{set: true, bits: bits}, nil
	case suffix[0] == '/':
		return Template{}, fmt.Errorf("%q has two lengths with nothing between them (did you mean %q?)", s, templateWord+"/"+length+"::"+suffix)
	}
	p, err := parseSuffix(bits, suffix)
	if err != nil {
		return Template{}, fmt.Errorf("%q: %w", s, err)
	}
	return Template{set: true, bits: bits, suffix: p}, nil
}

// parseSuffix reads what follows the first bits of an address.
func parseSuffix(bits int, suffix string) (netip.Prefix, error) {
	if bits%groupBits != 0 {
		up := min(bits/groupBits+1, 7) * groupBits
		return netip.Prefix{}, fmt.Errorf("what follows has to begin at a colon, so the length before it is a multiple of %d (did you mean \"%s/%d%s\"?)", groupBits, templateWord, up, suffix)
	}
	before, left := strings.Repeat(":0", bits/groupBits)[1:], 8-bits/groupBits
	text, length, hasLength := strings.Cut(suffix, "/")
	a, err := netip.ParseAddr(before + text)
	switch groups := strings.Count(strings.TrimPrefix(text, ":"), ":") + 1; {
	case err != nil && !strings.Contains(text, "::") && groups > left:
		return netip.Prefix{}, fmt.Errorf("%q has %d groups of %d bits, and %d fit after the first %d bits", text, groups, groupBits, left, bits)
	case err != nil && !strings.Contains(text, "::") && groups < left:
		return netip.Prefix{}, fmt.Errorf("%q has fewer than the %d groups that follow the first %d bits (did you mean \"%s/%d%s::/%d\" or \"%[4]s/%[5]d:%[6]s\"?)", text, left, bits, templateWord, bits, text, bits+groups*groupBits)
	case err != nil || a.Zone() != "":
		return netip.Prefix{}, fmt.Errorf("%q cannot follow the first %d bits of an IPv6 address (examples: \":f::/80\", \"::5\")", text, bits)
	}
	p := netip.PrefixFrom(a, a.BitLen())
	if hasLength {
		n, err := strconv.Atoi(length)
		if err != nil || n > a.BitLen() || n < 0 {
			return netip.Prefix{}, fmt.Errorf("%q is not the length of an IPv6 prefix", length)
		}
		p = netip.PrefixFrom(a, n)
	}
	switch {
	case p.Bits() <= bits && p.Bits() < p.Addr().BitLen():
		return netip.Prefix{}, fmt.Errorf("a prefix of /%d is not a part of the uplink's /%d: write a length from %d to 128", p.Bits(), bits, bits+1)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("it has host bits set (did you mean %q?)", Template{set: true, bits: bits, suffix: p.Masked()})
	}
	return p, nil
}
