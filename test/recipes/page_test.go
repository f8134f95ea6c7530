// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// configuration is the file that the daemon starts with.
const configuration = "/etc/ndproxyd/config.yaml"

// patience bounds the wait for what a command is to print. It is no claim about speed.
const patience = harness.Patience

// page is a recipe that is played on a network.
type page struct {
	*network
	blocks []docs.Block
	// products stand in for the blocks of shell with the tag "product", in their order.
	products []func()
	// replace is what the reader puts into the page's files in place of words such as
	// keys.
	replace *strings.Replacer
	daemon  *harness.Daemon
}

// play plays a page from the first block to the last.
func (p *page) play(name string) {
	p.t.Helper()
	if p.replace == nil {
		p.replace = strings.NewReplacer()
	}
	for _, b := range docs.Blocks(p.t) {
		if b.File == "docs/recipes/"+name {
			p.blocks = append(p.blocks, b)
		}
	}
	if len(p.blocks) == 0 {
		p.t.Fatalf("docs/recipes/%s has no blocks", name)
	}
	for i, b := range p.blocks {
		p.block(i, b)
	}
	if out := p.node.run("ndproxyd check"); !strings.Contains(out, ", 0 warnings") {
		p.t.Errorf("%s: on the host of the page, check finds something: %s", name, out)
	}
	if len(p.products) != 0 {
		p.t.Errorf("%s has %d fewer commands of products than the test stands in for", name, len(p.products))
	}
}

// block plays one block.
func (p *page) block(i int, b docs.Block) {
	p.t.Helper()
	path, isFile := strings.CutPrefix(b.Tag, "file=")
	switch {
	case isFile:
		p.node.write(path, p.replace.Replace(b.Text))
		if path == configuration {
			p.reload()
		}
	case b.Language == "text": // belongs to the commands before it
	case b.Language != "sh":
		p.t.Fatalf("%s: nobody plays a block of %q", b, b.Language)
	case b.Tag == "product":
		if len(p.products) == 0 {
			p.t.Fatalf("%s: nothing stands in for this", b)
		}
		p.products[0]()
		p.products = p.products[1:]
	case b.Tag == "recipe":
		p.commands(p.node, b, p.output(i))
	case b.Tag == "elsewhere":
		p.commands(p.elsewhere, b, p.output(i))
	default:
		p.t.Fatalf("%s: nobody plays shell with the tag %q", b, b.Tag)
	}
}

// output is what the page says that the commands of a block print, "" for nothing.
func (p *page) output(i int) string {
	if i+1 < len(p.blocks) && p.blocks[i+1].Language == "text" && p.blocks[i+1].Tag == "" {
		return p.blocks[i+1].Text
	}
	return ""
}

// reload has the daemon take over the page's configuration.
func (p *page) reload() {
	p.t.Helper()
	if p.daemon != nil {
		p.daemon.Reload()
		return
	}
	p.daemon = p.node.daemon()
	p.daemon.WaitReady()
}

// looks is a command that changes nothing, so that it can be repeated.
var looks = regexp.MustCompile(`^(ndproxyd (explain|status|check)|ip -6 \w+ show|wg show) ?`)

// commands runs a block. What only looks at the host is repeated until it prints what the
// page says: the answer to a question may be a moment late.
func (p *page) commands(h *host, b docs.Block, want string) {
	p.t.Helper()
	if want == "" {
		h.run(p.replace.Replace(b.Text))
		return
	}
	expected := pattern(p.replace.Replace(want))
	var out string
	var err error
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		out, err = h.try(p.replace.Replace(b.Text))
		if err == nil && expected.MatchString(out) {
			p.t.Logf("%s: %s%s", b, b.Text, out)
			return
		}
		if time.Now().After(end) || slices.ContainsFunc(b.Lines(), func(line string) bool { return !looks.MatchString(line) }) {
			break
		}
	}
	p.t.Fatalf("%s: %swant:\n%sgot: %v\n%s", b, b.Text, want, err, out)
}

var spaces = regexp.MustCompile(` +`)

// pattern makes an expression of a page's output: "…" stands for anything in a line, or
// for any lines where it is alone. Spaces at the ends of lines do not count.
func pattern(output string) *regexp.Regexp {
	var s strings.Builder
	s.WriteString(`^\s*`)
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "…" {
			s.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		line = strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`)
		s.WriteString(`[ \t]*` + spaces.ReplaceAllString(line, ` +`) + `[ \t]*\n`)
	}
	s.WriteString(`\s*$`)
	return regexp.MustCompile(s.String())
}

// TestPattern shows what an output may leave out.
func TestPattern(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page, output string
		want         bool
	}{
		"the same":             {"a b\nc\n", "a  b \nc\n", true},
		"the end of a line":    {"a …\n", "a b c\n", true},
		"a line of another":    {"a\n", "b\n", false},
		"a line more":          {"a\n", "a\nb\n", false},
		"lines that vary":      {"a\n…\nd\n", "a\nb\nc\nd\n", true},
		"lines up to the end":  {"a\n…\n", "a\nb\nc\n", true},
		"a dot is no wildcard": {"a.c\n", "abc\n", false},
	} {
		if got := pattern(c.page).MatchString(c.output); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
