// SPDX-License-Identifier: Apache-2.0

package config

import (
	"sort"
	"strings"
)

// This file reads the grammar of ndppd.conf exactly as ndppd 0.2.x does: which
// text becomes which key, value and block, however odd. What the keys mean is
// elsewhere.

// ndppdEntry is a key with its value and block.
type ndppdEntry struct {
	key, value string
	quoted     bool
	rest       bool // what is behind a quote that was recorded
	block      []*ndppdEntry
	hasBlock   bool
	start, end int // offsets into the text
	valueAt    int
}

// ndppdComment is a comment without its marks.
type ndppdComment struct {
	text string
	at   int
}

// ndppdScanner walks the text of a file.
type ndppdScanner struct {
	file        string
	text        string
	pos         int
	depth       int
	lines       []int // offsets of the beginnings of lines
	comments    []ndppdComment
	diagnostics diagnostics
	lost        int  // the offset of a recorded quote that begins another value
	failed      bool // the rest cannot be read
}

// maxNDPPDDepth bounds the nesting of blocks, of which a sane file has two.
const maxNDPPDDepth = 100

func newNDPPDScanner(file, text string, lenient bool) *ndppdScanner {
	s := &ndppdScanner{file: file, text: text, diagnostics: diagnostics{file: file, lenient: lenient}, lines: []int{0}, lost: -1}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	s.diagnostics.place = s.place
	return s
}

// place turns an offset into a line and a column, both from 1.
func (s *ndppdScanner) place(at int) (line, column int) {
	line = sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > at })
	return line, at - s.lines[line-1] + 1
}

// parse reads the whole file.
func (s *ndppdScanner) parse() []*ndppdEntry {
	entries := s.block()
	switch {
	case s.failed:
	case s.peek() == '}':
		s.lose(quirkBrace, "this brace closes nothing, and ndppd ignores the rest of the file")
	case s.pos < len(s.text):
		s.lose(quirkNUL, "ndppd takes a NUL octet for the end of the file: remove it")
	}
	return entries
}

// lose records that the rest of the file is ignored, which is a warning if it holds
// comments and separators alone.
func (s *ndppdScanner) lose(quirk, format string) {
	at, comments := s.pos, len(s.comments)
	for s.pos < len(s.text) {
		if s.space(true); strings.IndexByte("};,\x00", s.peek()) < 0 {
			break
		}
		s.pos++
	}
	record := s.diagnostics.misread
	if s.pos >= len(s.text) {
		record = s.diagnostics.warn
	}
	s.pos, s.comments = at, s.comments[:comments]
	record(at, quirk, format)
}

// peek returns the next octet, 0 at the end.
func (s *ndppdScanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// block reads entries up to the brace or the end.
func (s *ndppdScanner) block() []*ndppdEntry {
	var entries []*ndppdEntry
	for {
		s.space(true)
		if c := s.peek(); c == 0 || c == '}' {
			return entries
		}
		before := s.pos
		e := s.entry()
		if s.failed {
			return entries
		}
		if s.pos == before { // ndppd adds such an entry for ever
			s.diagnostics.fail(s.pos, quirkByte, "octet %#02x can stand in comments only: ndppd would hang here. Remove it, or save the file without a byte order mark", s.text[s.pos])
			s.failed = true
			return entries
		}
		entries = append(entries, e)
	}
}

func (s *ndppdScanner) entry() *ndppdEntry {
	e := &ndppdEntry{start: s.pos}
	for isKey(s.peek()) {
		s.pos++
	}
	e.key = s.text[e.start:s.pos]
	e.end = s.pos
	s.space(false)
	if s.peek() == '=' {
		s.pos++
		s.space(false)
	}
	s.value(e)
	if s.pos > e.valueAt || e.quoted {
		e.end = s.pos
	}
	s.space(false)
	if s.peek() != '{' {
		return e
	}
	open := s.pos
	s.pos++
	if s.depth++; s.depth > maxNDPPDDepth {
		s.diagnostics.fail(open, quirkBrace, "blocks are nested more than %d deep", maxNDPPDDepth)
		s.failed = true
		return e
	}
	e.hasBlock = true
	e.block = s.block()
	s.depth--
	switch {
	case s.failed:
	case s.peek() == '}':
		s.pos++
		e.end = s.pos
	default:
		s.diagnostics.fail(open, quirkBrace, "this brace is never closed")
		s.failed = true
	}
	return e
}

// value reads a word, or what stands in quotes. As with ndppd, the closing quote
// stays and begins another value.
func (s *ndppdScanner) value(e *ndppdEntry) {
	e.valueAt = s.pos
	if q := s.peek(); q == '"' || q == '\'' {
		e.quoted, e.rest = true, s.pos == s.lost
		s.pos++
		e.valueAt = s.pos
		for c := s.peek(); c != q && c != '\n' && c != 0; c = s.peek() {
			s.pos++
		}
		e.value = s.text[e.valueAt:s.pos]
		s.closeQuote(q)
		return
	}
	for c := s.peek(); c >= 0x21 && c <= 0x7e && c != '{' && c != '}'; c = s.peek() {
		s.pos++
	}
	e.value = s.text[e.valueAt:s.pos]
}

// closeQuote looks at what follows a quoted value. At the end of a line the
// quote does no harm, and is passed over here; before anything else it makes
// ndppd lose the rest of the line, so it stays.
func (s *ndppdScanner) closeQuote(q byte) {
	if s.peek() != q {
		return // the line ended first
	}
	rest := s.pos + 1
	for rest < len(s.text) && isSpace(s.text[rest]) && s.text[rest] != '\n' {
		rest++
	}
	if behind := s.text[rest:]; behind == "" || behind[0] == '\n' || behind[0] == 0 || behind[0] == '#' || strings.HasPrefix(behind, "//") {
		s.pos++ // all that can be lost is a comment
		return
	}
	s.lost = s.pos
	s.diagnostics.misread(s.pos, quirkQuote, "ndppd loses the rest of a line behind a closing quote, also a brace: leave the quotes out")
}

// space passes over white space and comments; a line's end stops it unless
// across is set. A comment of C may hold line ends all the same.
func (s *ndppdScanner) space(across bool) {
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		next := byte(0)
		if s.pos+1 < len(s.text) {
			next = s.text[s.pos+1]
		}
		switch {
		case c == '\n' && !across:
			return
		case isSpace(c):
			s.pos++
		case c == '#', c == '/' && next == '/':
			begin := s.pos
			for s.pos < len(s.text) && s.text[s.pos] != '\n' && s.text[s.pos] != 0 {
				s.pos++
			}
			s.comment(begin, s.text[begin:s.pos])
		case c == '/' && next == '*':
			begin := s.pos
			s.pos++ // so that "/*/" opens and closes
			for s.pos < len(s.text) && s.text[s.pos] != 0 && (s.text[s.pos] != '*' || s.pos+1 >= len(s.text) || s.text[s.pos+1] != '/') {
				s.pos++
			}
			if s.pos < len(s.text) && s.text[s.pos] != 0 {
				s.pos += 2
			} else {
				s.diagnostics.warn(begin, quirkComment, "this comment is never closed: the rest of the file belongs to it")
			}
			s.comment(begin, s.text[begin:s.pos])
		default:
			return
		}
	}
}

func (s *ndppdScanner) comment(at int, text string) {
	s.comments = append(s.comments, ndppdComment{text: text, at: at})
}

func isKey(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// isSpace is isspace(3) of the C locale.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
