// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/test/docs"
)

// TestTags wants to know of every command where it is to be run.
func TestTags(t *testing.T) {
	t.Parallel()
	places := []string{"host", "host-end", "node", "cluster", "cluster-check", "cluster-end", "repo", "netfilter", "recipe", "elsewhere", "product", "node-image"}
	for _, b := range docs.Blocks(t) {
		if name, ok := strings.CutPrefix(b.Tag, "file="); ok && b.Language == "sh" { // a script
			cmd := exec.Command("sh", "-n")
			cmd.Stdin = strings.NewReader(b.Text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v: %s", b, name, err, out)
			}
			continue
		}
		if b.Language == "sh" && !slices.Contains(places, b.Tag) {
			t.Errorf("%s: no test runs it: it is %q and not one of %v", b, b.Tag, places)
		}
		if slices.Contains([]string{"bash", "shell", "console"}, b.Language) {
			t.Errorf("%s: shell is called sh here", b)
		}
	}
}

// TestRepository runs what is for this repository as far as make says what it would do.
func TestRepository(t *testing.T) {
	t.Parallel()
	for _, b := range docs.Tagged(t, "repo") {
		for _, line := range b.Lines() {
			words := strings.Fields(strings.TrimPrefix(line, "sudo "))
			switch words[0] {
			case "make":
				comment := slices.Index(words, "#")
				if comment > 0 {
					words = words[:comment]
				}
				cmd := exec.Command("make", append([]string{"-n"}, words[1:]...)...)
				cmd.Dir = docs.Root()
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %s: %v: %s", b, line, err, out)
				}
			case "bin/ndproxyd": // test/integration runs it
			default:
				t.Errorf("%s: nobody runs %q", b, line)
			}
		}
	}
}

// TestConfigurations parses every configuration.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	n := 0
	for _, b := range docs.Blocks(t) {
		if b.Language != "yaml" || !strings.HasPrefix(b.Text, "version: 1\n") {
			continue
		}
		n++
		text := regexp.MustCompile(`(?m)^  web_config: .*\n`).ReplaceAllString(b.Text, "") // a file that is not here
		if _, err := config.Parse(b.String(), []byte(text)); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
	if n < 5 {
		t.Errorf("only %d configurations", n)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)

// anchor is what GitHub calls a heading.
func anchor(heading string) string {
	s := strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	s = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(s, "")
	return strings.ReplaceAll(s, " ", "-")
}

// TestLinks follows the links between documents to files and headings.
func TestLinks(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/runbooks/*.md", "docs/recipes/*.md", "docs/plugins/*.md"} {
		found, _ := filepath.Glob(filepath.Join(docs.Root(), pattern))
		files = append(files, found...)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.HasPrefix(m[1], "http") {
				continue
			}
			target := f
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(f), m[1])
			}
			content, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: link to %s: %v", f, m[1], err)
				continue
			}
			if m[2] == "" {
				continue
			}
			found := false
			for line := range strings.Lines(string(content)) {
				found = found || strings.HasPrefix(line, "#") && anchor(line) == m[2][1:]
			}
			if !found {
				t.Errorf("%s: %s has no heading %s", f, target, m[2])
			}
		}
	}
}

// TestRunbooks wants a page for every alert, and an alert for every page.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(docs.Root(), "deploy/prometheus/rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(b), -1) {
		alerts = append(alerts, m[1])
		if !strings.Contains(string(b), "runbook_url: https://github.com/ndproxyd/ndproxyd/blob/main/docs/runbooks/"+m[1]+".md\n") {
			t.Errorf("%s names no page", m[1])
		}
		if page, err := os.ReadFile(filepath.Join(docs.Root(), "docs/runbooks", m[1]+".md")); err != nil || !strings.HasPrefix(string(page), "# "+m[1]+"\n") {
			t.Errorf("%s has no page: %v", m[1], err)
		}
	}
	pages, _ := filepath.Glob(filepath.Join(docs.Root(), "docs/runbooks/*.md"))
	if len(pages) != len(alerts) {
		t.Errorf("%d pages for %d alerts", len(pages), len(alerts))
	}
}
