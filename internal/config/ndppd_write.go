// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// YAML returns the configuration that the file comes to, with the file's
// comments where they belong, and every deviation as one.
func (f *NDPPD) YAML() string {
	w := &yamlWriter{reader: f.reader}
	first := len(f.reader.text)
	if len(f.reader.proxies) > 0 {
		first = f.reader.proxies[0].entry.start
	}
	w.comments(0, w.leading(first))
	w.outside()
	w.line(0, "version: %d", Version)
	if len(f.Config.Uplinks) == 0 {
		w.rest()
		w.line(0, "rules: []")
		return w.b.String()
	}
	w.line(0, "uplinks:")
	for i, p := range f.reader.proxies {
		w.uplink(i, p)
	}
	w.line(0, "rules:%s", map[bool]string{true: " []"}[len(f.Config.Rules) == 0])
	for _, p := range f.reader.proxies {
		for _, s := range p.rules {
			w.rule(s)
		}
	}
	w.rest()
	return w.b.String()
}

// yamlWriter writes a file, and hands out each comment once.
type yamlWriter struct {
	reader *ndppdReader
	b      strings.Builder
	used   map[int]bool // the comments that are written
}

func (w *yamlWriter) line(indent int, format string, args ...any) {
	w.b.WriteString(strings.Repeat(" ", indent))
	fmt.Fprintf(&w.b, format, args...)
	w.b.WriteByte('\n')
}

// leading returns the end of the comments that belong to the file: those before
// an empty line, where there is something behind that.
func (w *yamlWriter) leading(first int) int {
	end := 0
	for _, e := range w.reader.entries { // what stands above the first proxy
		if e.start < first {
			end = e.end
		}
	}
	for _, c := range w.reader.comments {
		if c.at >= first {
			break
		}
		if behind := w.reader.text[c.at+len(c.text) : first]; strings.HasPrefix(strings.TrimLeft(behind, " \t\r"), "\n") &&
			strings.HasPrefix(strings.TrimLeft(strings.TrimLeft(behind, " \t\r")[1:], " \t\r"), "\n") {
			end = max(end, c.at+1)
		}
	}
	return end
}

// comments writes the comments that begin before an offset and are not written
// yet, and the deviations beside them.
func (w *yamlWriter) comments(indent, to int) { w.between(indent, 0, to) }

// between writes the comments of a part of the text.
func (w *yamlWriter) between(indent, from, to int) {
	if w.used == nil {
		w.used = make(map[int]bool)
	}
	for i, c := range w.reader.comments {
		if c.at < from || c.at >= to || w.used[i] {
			continue
		}
		w.used[i] = true
		for _, line := range commentLines(c.text) {
			w.line(indent, "%s", strings.TrimRight("# "+line, " "))
		}
	}
}

// deviations writes the warnings about a part of the text as comments.
func (w *yamlWriter) deviations(indent, from, to int) {
	for _, text := range w.reader.diagnostics.between(from, to) {
		w.line(indent, "# ndproxyd: %s", printable(text))
	}
}

// outside writes the warnings about what stands outside of the proxy sections.
func (w *yamlWriter) outside() {
	at := 0
	for _, p := range w.reader.proxies {
		w.deviations(0, at, p.entry.start)
		at = w.reader.lineEnd(p.entry.end)
	}
	w.deviations(0, at, len(w.reader.text)+1)
}

// rest writes the comments that found no other place.
func (w *yamlWriter) rest() { w.comments(0, len(w.reader.text)) }

// uplink writes a proxy section without its rules, but with the comments and
// warnings that are not about these.
func (w *yamlWriter) uplink(i int, p *ndppdProxySection) {
	r := w.reader
	before := 0
	if i > 0 {
		before = r.lineEnd(r.proxies[i-1].entry.end)
	}
	w.between(2, before, p.entry.start)
	for at := p.entry.start; at < p.entry.end; {
		to, next := p.entry.end, p.entry.end
		for _, s := range p.rules {
			if s.entry.start >= at {
				to, next = s.entry.start, s.entry.end
				break
			}
		}
		w.between(2, at, w.ownComments(at, to))
		w.deviations(2, at, to)
		at = max(next, at+1)
	}
	if slices.ContainsFunc(r.proxies[:i], func(o *ndppdProxySection) bool { return o.uplink.Interface == p.uplink.Interface }) {
		return // written already
	}
	w.line(2, "- interface: %s", quoteYAML(p.uplink.Interface))
	w.line(4, "router: %s", p.uplink.Router)
}

// ownComments returns where the comments of the settings end and those of the
// rule behind them begin: with the last line that holds a setting.
func (w *yamlWriter) ownComments(from, to int) int {
	end := from
	for _, p := range w.reader.proxies {
		for _, e := range p.entry.block {
			if e.key != "rule" && e.start >= from && e.end <= to {
				end = max(end, w.reader.lineEnd(e.end))
			}
		}
		if p.entry.start >= from && p.entry.start < to {
			end = max(end, w.reader.lineEnd(p.entry.start))
		}
	}
	return min(end, to)
}

// lineEnd returns the end of the line that an offset is on.
func (s *ndppdScanner) lineEnd(at int) int {
	if i := strings.IndexByte(s.text[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(s.text)
}

func (w *yamlWriter) rule(s *ndppdRuleSection) {
	end := w.reader.lineEnd(s.entry.end)
	w.comments(2, end)
	w.deviations(2, s.entry.start, end)
	r := s.rule
	if s.drop {
		w.line(2, "# left out: rule %s", printable(s.entry.value))
		return
	}
	w.line(2, "- prefix: %s", strconv.Quote(r.Prefix.String()))
	w.line(4, "method: %s", r.Method)
	w.line(4, "uplinks: [%s]", quoteYAML(r.Uplinks[0]))
	if r.Method != rules.Probe {
		return
	}
	devices := make([]string, len(r.Devices))
	for i, d := range r.Devices {
		devices[i] = quoteYAML(d)
	}
	w.line(4, "devices: [%s]", strings.Join(devices, ", "))
	if r.Autowire {
		w.line(4, "autowire: true")
	}
	if r.Timing.Timeout != 0 {
		w.line(4, "timeout: %s", r.Timing.Timeout)
	}
	if r.Timing.TTL != 0 {
		w.line(4, "ttl: %s", r.Timing.TTL)
	}
	if r.Timing.Deadtime != 0 {
		w.line(4, "deadtime: %s", max(0, r.Timing.Deadtime))
	}
	if r.Timing.Retries != 0 {
		w.line(4, "retries: %d", max(0, r.Timing.Retries))
	}
}

// quoteYAML quotes a word where YAML might take it for something else.
func quoteYAML(s string) string {
	for _, c := range []byte(s) {
		if !isKey(c) && c != '.' {
			return strconv.Quote(s)
		}
	}
	if s == "" || s[0] < 'A' || slices.Contains([]string{"yes", "no", "on", "off", "true", "false", "null", "y", "n"}, strings.ToLower(s)) {
		return strconv.Quote(s)
	}
	return s
}

// commentLines returns the lines of a comment without its marks.
func commentLines(c string) []string {
	switch {
	case strings.HasPrefix(c, "#"):
		c = c[1:]
	case strings.HasPrefix(c, "//"):
		c = c[2:]
	default:
		c = strings.TrimSuffix(strings.TrimPrefix(c, "/*"), "*/")
	}
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(c)) {
		lines = append(lines, printable(strings.TrimLeft(strings.TrimSpace(line), "* ")))
	}
	return lines
}

// printable replaces what YAML does not allow in a comment.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0xfeff || c == 0xfffe || c == 0xffff || c == 0x2028 || c == 0x2029 {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}
