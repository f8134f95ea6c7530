// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one fault of a configuration file.
type Error struct {
	File         string
	Line, Column int
	// Path is the key, like rules[2].prefix; empty for the file as a whole.
	Path string
	// Message says what is wrong and how to correct it.
	Message string
}

// Error returns the fault as file:line:column: path: message.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		s += e.Path + ": "
	}
	return s + e.Message
}

// Errors are all faults of one file, ordered by their place.
type Errors []*Error

// Error returns one fault a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the faults in the order of the file, or nil for none.
func (es Errors) sorted() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return es
}

// The lengths of what is shown of a text: such that known keys and names fit.
const (
	maxShown  = 600
	partShown = 200
)

// Shorten returns a text for a message: of a long one the beginning and the end,
// as people have no use for the rest of a wrong value, nor has a log.
func Shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	head, tail := s[:partShown], s[len(s)-partShown:]
	return strings.ToValidUTF8(head, "") + fmt.Sprintf("… (%d octets) …", len(s)-2*partShown) + strings.ToValidUTF8(tail, "")
}

// message formats a message whose arguments may be of any length.
func message(format string, args []any) string {
	short := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			short[i] = Shorten(a)
		case error:
			short[i] = Shorten(a.Error())
		default:
			short[i] = a
		}
	}
	return fmt.Sprintf(format, short...)
}
