// SPDX-License-Identifier: Apache-2.0

// Command man makes the manual pages of the documentation: ndproxyd(8) of
// docs/commands.md, and ndproxyd.yaml(5) of docs/configuration.md and the keys in
// docs/kubernetes.md. The packages call it, by way of "make packages".
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

func main() {
	docs := flag.String("docs", "docs", "where the documentation is")
	out := flag.String("out", ".", "where the pages go")
	version := flag.String("version", "devel", "of the program")
	date := flag.Int64("date", 0, "seconds since 1970, of the pages")
	flag.Parse()
	if err := run(*docs, *out, *version, time.Unix(*date, 0).UTC()); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

func run(docs, out, version string, date time.Time) error {
	commands, err := read(docs, "commands.md")
	if err != nil {
		return err
	}
	configuration, err := read(docs, "configuration.md")
	if err != nil {
		return err
	}
	kubernetes, err := read(docs, "kubernetes.md")
	if err != nil {
		return err
	}
	keys, err := section(kubernetes, "## `kubernetes`\n")
	if err != nil {
		return err
	}
	const signals = "\n# SIGNALS\n\nTERM and INT stop the daemon, after other nodes have heard of it; a second one at once. HUP reads the configuration file again.\n" +
		"\n# FILES\n\n`/etc/ndproxyd/config.yaml`, see ndproxyd.yaml(5)\n\n# SEE ALSO\n\nndproxyd.yaml(5), ip-neighbour(8), RFC 4861, RFC 4389\n"
	for name, page := range map[string]string{
		"ndproxyd.8": head("ndproxyd", 8, version, date, "IPv6 neighbor discovery proxy", "**ndproxyd** *command* [flags]") +
			strings.Replace(commands, "# Commands\n", "# DESCRIPTION\n", 1) + signals,
		"ndproxyd.yaml.5": head("ndproxyd.yaml", 5, version, date, "configuration of ndproxyd", "`/etc/ndproxyd/config.yaml`") +
			strings.Replace(configuration, "# Configuration\n", "# DESCRIPTION\n", 1) + "\n" + keys + "\n# SEE ALSO\n\nndproxyd(8)\n",
	} {
		if err := write(filepath.Join(out, name+".gz"), md2man.Render([]byte(page)), date); err != nil {
			return err
		}
	}
	return nil
}

// head is the title of a page with its first sections.
func head(name string, number int, version string, date time.Time, what, synopsis string) string {
	return fmt.Sprintf("%% %s %d \"%s\" \"ndproxyd %s\" \"\"\n# NAME\n\n%s - %s\n\n# SYNOPSIS\n\n%s\n\n",
		strings.ToUpper(name), number, date.Format("January 2006"), version, name, what, synopsis)
}

// read returns a document without what a page does not show.
func read(docs, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(docs, name)) //nolint:gosec // whoever calls it names the files
	if err != nil {
		return "", fmt.Errorf("read documentation: %w", err)
	}
	comments := regexp.MustCompile(`<!--.*?-->\n?`)
	links := regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)
	text := lists(comments.ReplaceAllString(string(b), ""))
	return links.ReplaceAllStringFunc(text, func(l string) string {
		m := links.FindStringSubmatch(l)
		if strings.HasPrefix(m[2], "http") {
			return m[1] + " (" + m[2] + ")"
		}
		return m[1] + " (/usr/share/doc/ndproxyd/" + m[2] + ")"
	}), nil
}

// lists makes definition lists of tables, which are wider than a terminal.
func lists(text string) string {
	var b strings.Builder
	var head []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			head = nil
			b.WriteString(line)
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case head == nil:
			head = cells
		case strings.HasPrefix(cells[0], "---"):
		default:
			var about []string
			for i := 1; i < len(cells)-1; i++ {
				if cells[i] != "" {
					about = append(about, head[i]+": "+cells[i])
				}
			}
			fmt.Fprintf(&b, "%s\n: ", cells[0])
			if len(about) > 0 {
				fmt.Fprintf(&b, "%s. ", strings.Join(about, "; "))
			}
			fmt.Fprintf(&b, "%s\n\n", cells[len(cells)-1])
		}
	}
	return b.String()
}

// section returns a part of a document with its heading.
func section(text, heading string) (string, error) {
	_, rest, ok := strings.Cut(text, heading)
	if !ok {
		return "", fmt.Errorf("no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return heading + body, nil
}

// write compresses a page, in the same way each time.
func write(path string, page []byte, date time.Time) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress %s: %w", path, err)
	}
	z.ModTime = date
	if _, err := z.Write(page); err != nil {
		return fmt.Errorf("compress %s: %w", path, err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress %s: %w", path, err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil { //nolint:gosec // everybody reads it
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
