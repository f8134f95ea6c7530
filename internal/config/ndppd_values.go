// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// semicolon returns a value without the semicolon at its end, which ndppd reads as
// a part of it, and records that. A lenient reading keeps it.
func (r *ndppdReader) semicolon(e *ndppdEntry) string {
	v, found := strings.CutSuffix(e.value, ";")
	if !found || r.diagnostics.lenient {
		return e.value
	}
	r.diagnostics.add(e.valueAt+len(v), quirkSemicolon, "ndppd has no separators: it reads %q as the value of %q", e.value, e.key)
	return v
}

// boolean reads a value as ndppd does: yes and true, and no for all others.
func (r *ndppdReader) boolean(e *ndppdEntry) bool {
	switch strings.ToLower(e.value) {
	case "yes", "true":
		return true
	case "no", "false":
	case "":
		r.diagnostics.add(e.start, quirkBoolean, "%q without a value means no: write \"%s yes\" or \"%s no\"", e.key, e.key, e.key)
	default:
		r.diagnostics.add(e.valueAt, quirkBoolean, "%q means no here: write yes or no", e.value)
	}
	return false
}

// integer reads a value by atoi(3): digits behind white space and a sign, 0
// where there are none.
func (r *ndppdReader) integer(e *ndppdEntry) int {
	digits := 0
	signed := strings.TrimLeft(e.value, " \t\n\v\f\r")
	if signed != "" && (signed[0] == '-' || signed[0] == '+') {
		digits++
	}
	for digits < len(signed) && signed[digits] >= '0' && signed[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseInt(signed[:digits], 10, 64)
	switch {
	case err != nil && digits > 0 && strings.Trim(signed[:digits], "+-") != "" || n > math.MaxInt32 || n < math.MinInt32:
		r.diagnostics.fail(e.valueAt, quirkInteger, "%q is beyond all numbers", e.value)
		return 0
	case err != nil:
		n = 0
	}
	if strconv.FormatInt(n, 10) != e.value || n < 0 {
		r.diagnostics.add(e.valueAt, quirkInteger, "%q is read as %d: write a plain number, of milliseconds where it is a time", e.value, n)
	}
	return int(n)
}

// time reads milliseconds and brings them into the bounds that hold here. What is
// negative stands for the default, 0 here.
func (r *ndppdReader) time(e *ndppdEntry, low, high time.Duration) time.Duration {
	d := time.Duration(r.integer(e)) * time.Millisecond
	if d < 0 {
		return 0
	}
	if c := min(max(d, low), high); c != d {
		r.diagnostics.warn(e.start, deviation, "%s is %s here instead of %s, within %s to %s", e.key, c, d, low, high)
		return c
	}
	return d
}

// prefix reads the value of a rule. ok is false for what ndppd would match
// nothing with, or everything by accident.
func (r *ndppdReader) prefix(e *ndppdEntry) (p netip.Prefix, ok bool) {
	text, length, hasLength := e.value, "", false
	if i := strings.IndexFunc(text, func(c rune) bool { return strings.ContainsRune("/ \t\n\v\f\r", c) }); i >= 0 {
		rest := strings.TrimLeft(text[i:], " \t\v\f\r")
		text = text[:i]
		length, hasLength = strings.CutPrefix(rest, "/")
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" || strings.Contains(text, ".") {
		r.diagnostics.add(e.valueAt, quirkAddress, "%q is not an IPv6 address: ndppd reads ::/128, which matches nothing", e.value)
		return netip.Prefix{}, false
	}
	bits := 128
	if hasLength {
		if bits, ok = r.length(e, length); !ok {
			return netip.Prefix{}, false
		}
	}
	p = netip.PrefixFrom(a, bits)
	if p != p.Masked() {
		r.diagnostics.warn(e.valueAt, quirkHostBits, "%s means %s", p, p.Masked())
	}
	p = p.Masked()
	if err := rules.CheckPrefix(p); err != nil {
		r.diagnostics.add(e.valueAt, quirkAddress, "%v", err)
		return netip.Prefix{}, false
	}
	return p, true
}

// length reads the digits behind the slash.
func (r *ndppdReader) length(e *ndppdEntry, text string) (bits int, ok bool) {
	at := e.valueAt + len(e.value) - len(text)
	if text == "" {
		r.diagnostics.fail(at-1, quirkLength, "a slash without a length is /0 to ndppd, which matches every address: write the length")
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n > 128 || len(text) > 4 {
		r.diagnostics.add(at, quirkLength, "/%s is read as /128: write a length of 0 to 128", text)
		return 128, true
	}
	return int(n), true
}
