// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestPages wants each page played by a test, named by the index, and made as its readers
// expect: what they have comes first, with a command that shows it, and the command that
// shows that it works comes last.
func TestPages(t *testing.T) {
	t.Parallel()
	read := func(pattern string) (texts map[string]string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(docs.Root(), pattern))
		harness.Must(t, err)
		texts = map[string]string{}
		for _, f := range files {
			b, err := os.ReadFile(f)
			harness.Must(t, err)
			texts[filepath.Base(f)] = string(b)
		}
		return texts
	}
	tests, pages := read("test/recipes/*_test.go"), read("docs/recipes/*.md")
	index := pages["README.md"]
	delete(pages, "README.md")
	if len(pages) == 0 {
		t.Fatal("there are no pages")
	}
	for name := range pages {
		played := false
		for _, source := range tests {
			played = played || strings.Contains(source, `play("`+name+`")`)
		}
		if !played {
			t.Errorf("no test plays %s", name)
		}
		if !strings.Contains(index, "]("+name+")") {
			t.Errorf("the index does not name %s", name)
		}
	}
	shell := map[string][]docs.Block{}
	for _, b := range docs.Blocks(t) {
		if strings.HasPrefix(b.File, "docs/recipes/") && b.Language == "sh" {
			name := filepath.Base(b.File)
			shell[name] = append(shell[name], b)
		}
	}
	for name := range pages {
		blocks := shell[name]
		if len(blocks) < 2 {
			t.Errorf("%s has %d blocks of commands", name, len(blocks))
			continue
		}
		last := blocks[len(blocks)-1]
		lines := last.Lines()
		if command := lines[len(lines)-1]; !strings.HasPrefix(command, "ndproxyd ") {
			t.Errorf("%s: the last command is %q, which does not ask the daemon", last, command)
		}
	}
}
