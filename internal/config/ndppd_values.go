// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// name reads the name of an interface. ndppd takes a semicolon at its end as a part of the
// name, as a lenient reading does.
func (r *ndppdReader) name(e *ndppdEntry) string {
	v, found := strings.CutSuffix(e.value, ";")
	if !found {
		return v
	}
	r.diagnostics.misread(e.valueAt+len(v), quirkSemicolon, "ndppd has no separators: it reads %q as the value of %q", e.value, e.key)
	if r.diagnostics.lenient {
		return e.value
	}
	return v
}

// isOn and isOff report whether somebody who writes a word means yes, or no.
func isOn(word string) bool {
	return slices.Contains([]string{"yes", "true", "on", "1", "y", "enable", "enabled"}, strings.ToLower(word))
}

func isOff(word string) bool {
	return slices.Contains([]string{"no", "false", "off", "0", "n", "disable", "disabled"}, strings.ToLower(word))
}

// boolean reads a value as ndppd does: yes and true, and no for all others. A value that
// means no to people as well is at most a warning.
func (r *ndppdReader) boolean(e *ndppdEntry) bool {
	v, semicolon := strings.CutSuffix(e.value, ";")
	off := isOff(v)
	switch word := strings.ToLower(e.value); {
	case word == "yes" || word == "true":
		return true
	case word == "no" || word == "false":
	case word == "":
		r.diagnostics.misread(e.start, quirkBoolean, "%q without a value means no: write \"%s yes\" or \"%s no\"", e.key, e.key, e.key)
	case semicolon && off:
		r.diagnostics.warn(e.valueAt+len(v), quirkSemicolon, "ndppd has no separators: it reads %q, which means no: remove the semicolon", e.value)
	case semicolon:
		r.diagnostics.misread(e.valueAt+len(v), quirkSemicolon, "ndppd has no separators: it reads %q, which means no: remove the semicolon", e.value)
	case off:
		r.diagnostics.warn(e.valueAt, quirkBoolean, "%q means no here, as does every word but yes and true: write no", e.value)
	default:
		r.diagnostics.misread(e.valueAt, quirkBoolean, "%q means no here: write yes or no", e.value)
	}
	return false
}

// mootBoolean reads a value that has no effect here, so a misreading is a warning.
func (r *ndppdReader) mootBoolean(e *ndppdEntry) (yes bool) {
	r.diagnostics.moot(func() { yes = r.boolean(e) })
	return yes
}

// integer reads a value by atoi(3): digits behind white space and a sign, 0
// where there are none, and the low 32 bits of a number that is too large.
func (r *ndppdReader) integer(e *ndppdEntry) int {
	digits := 0
	signed := strings.TrimLeft(e.value, " \t\n\v\f\r")
	if signed != "" && (signed[0] == '-' || signed[0] == '+') {
		digits++
	}
	for digits < len(signed) && signed[digits] >= '0' && signed[digits] <= '9' {
		digits++
	}
	long, err := strconv.ParseInt(signed[:digits], 10, 64)
	n := int64(int32(long)) //nolint:gosec // as the C library does
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		n = 0
	}
	plain, semicolon := strings.CutSuffix(e.value, ";")
	plain = strings.TrimPrefix(strings.TrimSuffix(plain, "ms"), "+")
	switch number := strings.TrimLeft(plain, "0"); {
	case n == long && n >= 0 && (strconv.FormatInt(n, 10) == number || n == 0 && plain != "" && number == ""):
		switch {
		case semicolon:
			r.diagnostics.warn(e.valueAt+len(e.value)-1, quirkSemicolon, "ndppd has no separators: it reads %q as %d: remove the semicolon", e.value, n)
		case e.value != strconv.FormatInt(n, 10):
			r.diagnostics.warn(e.valueAt, quirkInteger, "%q is read as %d: write a plain number", e.value, n)
		}
	default:
		r.diagnostics.misread(e.valueAt, quirkInteger, "%q is read as %d: write a plain number, of milliseconds where it is a time", e.value, n)
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
		r.diagnostics.misread(e.valueAt, quirkAddress, "%q is not an IPv6 address: ndppd reads ::/128, which matches nothing", e.value)
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
		r.diagnostics.misread(e.valueAt, quirkAddress, "%v", err)
		return netip.Prefix{}, false
	}
	return p, true
}

// length reads the digits behind the slash.
func (r *ndppdReader) length(e *ndppdEntry, text string) (bits int, ok bool) {
	at := e.valueAt + len(e.value) - len(text)
	if text == "" {
		r.diagnostics.misread(at-1, quirkLength, "a slash without a length is /0 to ndppd, which matches every address: write the length")
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n > 128 || len(text) > 4 {
		r.diagnostics.misread(at, quirkLength, "/%s is read as /128: write a length of 0 to 128", text)
		return 128, true
	}
	return int(n), true
}
