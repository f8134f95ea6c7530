// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The quirks of ndppd's files. A message begins with the name of its quirk, which
// docs/ndppd.md explains.
const (
	quirkBrace     = "brace"      // a brace that ndppd pairs in another way
	quirkQuote     = "quote"      // quotes swallow the rest of the line
	quirkByte      = "byte"       // an octet at which ndppd hangs
	quirkNUL       = "nul"        // the text ends early
	quirkComment   = "comment"    // a comment that goes on for ever
	quirkNextLine  = "next-line"  // a block that belongs to nothing
	quirkSemicolon = "semicolon"  // part of a value, no separator
	quirkUnknown   = "unknown"    // a key that ndppd ignores
	quirkLevel     = "level"      // a key that does not belong here
	quirkTwice     = "twice"      // a key of which the first one counts
	quirkFlag      = "flag-value" // a flag takes the next word as its value
	quirkBoolean   = "boolean"    // neither yes nor no
	quirkInteger   = "integer"    // not a number of milliseconds
	quirkAddress   = "address"    // ndppd reads ::/128
	quirkLength    = "length"     // ndppd reads another prefix length
	quirkHostBits  = "host-bits"  // are not compared
	quirkMissing   = "missing"    // without it nothing works
	quirkMethods   = "methods"    // too many, or none
	quirkDevice    = "device"     // cannot be the name of an interface, or the wrong one
	quirkEmpty     = "empty"      // nothing would be answered
	deviation      = "deviation"  // ndproxyd does otherwise, on purpose
)

// diagnostic is a message about a place of an ndppd.conf.
type diagnostic struct {
	line, column int
	at           int    // the offset of that place
	quirk        string // the name of what is odd
	text         string
	fatal        bool // the file is not loaded because of it
}

// maxDiagnostics bounds the warnings about a file, far beyond what people write.
const maxDiagnostics = 100_000

// diagnostics collects the messages about one file.
type diagnostics struct {
	file    string
	lenient bool
	mooted  bool // what is read now has no effect
	place   func(at int) (line, column int)
	all     []diagnostic
}

func (d *diagnostics) put(at int, quirk string, fatal bool, format string, args []any) {
	if !fatal && len(d.all) >= maxDiagnostics {
		return
	}
	line, column := d.place(at)
	d.all = append(d.all, diagnostic{line: line, column: column, at: at, quirk: quirk, text: message(format, args), fatal: fatal})
}

// fail records what keeps the file from being loaded in any case.
func (d *diagnostics) fail(at int, quirk, format string, args ...any) {
	d.put(at, quirk, true, format, args)
}

// misread records text that ndppd accepts, and reads differently from what it appears to
// say: an error, and a warning in a lenient reading.
func (d *diagnostics) misread(at int, quirk, format string, args ...any) {
	d.put(at, quirk, !d.lenient && !d.mooted, format, args)
}

// moot reads a value without effect: nothing that is odd about it is an error.
func (d *diagnostics) moot(read func()) {
	d.mooted = true
	read()
	d.mooted = false
}

// warn records what does not keep the file from being loaded.
func (d *diagnostics) warn(at int, quirk, format string, args ...any) {
	d.put(at, quirk, false, format, args)
}

// fatal reports whether something keeps the file from being loaded.
func (d *diagnostics) fatal() bool {
	return slices.ContainsFunc(d.all, func(m diagnostic) bool { return m.fatal })
}

// errors returns what keeps the file from being loaded, in the order of the file.
func (d *diagnostics) errors() error {
	slices.SortStableFunc(d.all, func(a, b diagnostic) int { return cmp.Compare(a.at, b.at) })
	var es Errors
	for _, m := range d.all {
		if m.fatal && len(es) < maxFaults {
			es = append(es, &Error{File: d.file, Line: m.line, Column: m.column, Message: m.quirk + ": " + m.text})
		}
	}
	return es.sorted()
}

// warnings returns the other messages, one a line.
func (d *diagnostics) warnings() []string {
	var lines []string
	for _, m := range d.all {
		if !m.fatal {
			lines = append(lines, fmt.Sprintf("%s:%d:%d: %s: %s", d.file, m.line, m.column, m.quirk, m.text))
		}
	}
	return lines
}

// between returns the warnings about a part of the text.
func (d *diagnostics) between(from, to int) []string {
	var lines []string
	for _, m := range d.all {
		if !m.fatal && m.at >= from && m.at < to {
			lines = append(lines, m.quirk+": "+strings.TrimSpace(m.text))
		}
	}
	return lines
}
