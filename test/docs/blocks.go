// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Block is a block of code in the documentation.
type Block struct {
	// File is relative to the repository, Line that of the first line of Text.
	File string
	Line int
	// Language and Tag are the words behind the fence.
	Language, Tag string
	Text          string
}

// String names the block in messages.
func (b Block) String() string { return fmt.Sprintf("%s:%d", b.File, b.Line) }

// Lines returns the commands of a block.
func (b Block) Lines() []string { return strings.Split(strings.TrimRight(b.Text, "\n"), "\n") }

// Root is the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Blocks returns all blocks of all documents: the README first, then quick starts, the
// others, runbooks, recipes, and network plugins.
func Blocks(tb testing.TB) []Block {
	tb.Helper()
	files := []string{"README.md", "docs/quickstart-host.md", "docs/quickstart-cluster.md"}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/runbooks/*.md", "docs/recipes/*.md", "docs/plugins/*.md"} {
		found, err := filepath.Glob(filepath.Join(Root(), pattern))
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range found {
			if f, _ = filepath.Rel(Root(), f); !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	var all []Block
	for _, f := range files {
		all = append(all, read(tb, f)...)
	}
	return all
}

// Tagged returns the blocks that are for one place: shell with that tag, and files.
func Tagged(tb testing.TB, tag string) []Block {
	tb.Helper()
	var some []Block
	for _, b := range Blocks(tb) {
		if b.Language == "sh" && b.Tag == tag {
			some = append(some, b)
		}
	}
	if len(some) == 0 {
		tb.Fatalf("no block of the documentation is for %q", tag)
	}
	return some
}

// File returns what the documentation says that a file has.
func File(tb testing.TB, document, path string) string {
	tb.Helper()
	for _, b := range Blocks(tb) {
		if b.File == document && b.Tag == "file="+path {
			return b.Text
		}
	}
	tb.Fatalf("%s has no file %s", document, path)
	return ""
}

func read(tb testing.TB, file string) []Block {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(Root(), file))
	if err != nil {
		tb.Fatal(err)
	}
	var (
		blocks []Block
		block  *Block
		number int
	)
	for line := range strings.Lines(string(b)) {
		number++
		fence, isFence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case isFence && block == nil:
			language, tag, _ := strings.Cut(fence, " ")
			block = &Block{File: file, Line: number + 1, Language: language, Tag: tag}
		case isFence:
			blocks = append(blocks, *block)
			block = nil
		case block != nil:
			block.Text += line
		}
	}
	if block != nil {
		tb.Fatalf("%s: the block on line %d has no end", file, block.Line)
	}
	return blocks
}
