// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The quirks of ndppd's files, by which messages can be told apart.
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

// Note is a message about a place of an ndppd.conf.
type Note struct {
	Line, Column int
	// Quirk is the name of what is odd.
	Quirk string
	Text  string
	// Fatal is true when the file is not loaded because of it.
	Fatal bool

	at int
}

// maxNotes bounds the warnings about a file, far beyond what people write.
const maxNotes = 100_000

// notes collects messages.
type notes struct {
	file    string
	lenient bool
	place   func(at int) (line, column int)
	all     []Note
}

func (n *notes) put(at int, quirk string, fatal bool, format string, args []any) {
	if !fatal && len(n.all) >= maxNotes {
		return
	}
	line, column := n.place(at)
	n.all = append(n.all, Note{Line: line, Column: column, Quirk: quirk, Text: message(format, args), Fatal: fatal, at: at})
}

// fail notes what cannot be loaded.
func (n *notes) fail(at int, quirk, format string, args ...any) { n.put(at, quirk, true, format, args) }

// add notes what ndppd takes without a word, and a lenient reading with one.
func (n *notes) add(at int, quirk, format string, args ...any) {
	n.put(at, quirk, !n.lenient, format, args)
}

// warn notes what is loaded in any case.
func (n *notes) warn(at int, quirk, format string, args ...any) {
	n.put(at, quirk, false, format, args)
}

// fatal reports whether there is a fatal note.
func (n *notes) fatal() bool {
	return slices.ContainsFunc(n.all, func(note Note) bool { return note.Fatal })
}

// errors returns the fatal notes as errors, in order.
func (n *notes) errors() error {
	slices.SortStableFunc(n.all, func(a, b Note) int { return cmp.Compare(a.at, b.at) })
	var es Errors
	for _, note := range n.all {
		if note.Fatal && len(es) < maxFaults {
			es = append(es, &Error{File: n.file, Line: note.Line, Column: note.Column, Message: note.Quirk + ": " + note.Text})
		}
	}
	return es.sorted()
}

// warnings returns the others as lines.
func (n *notes) warnings() []string {
	var lines []string
	for _, note := range n.all {
		if !note.Fatal {
			lines = append(lines, fmt.Sprintf("%s:%d:%d: %s: %s", n.file, note.Line, note.Column, note.Quirk, note.Text))
		}
	}
	return lines
}

// deviations returns what is done otherwise on the lines of an entry.
func (n *notes) deviations(from, to int) []string {
	var lines []string
	for _, note := range n.all {
		if !note.Fatal && note.at >= from && note.at < to {
			lines = append(lines, note.Quirk+": "+strings.TrimSpace(note.Text))
		}
	}
	return lines
}
