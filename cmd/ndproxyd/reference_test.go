// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// update writes the file anew instead of comparing it: "make reference".
var update = flag.Bool("update", false, "write the documentation anew")

const commandsPath = "../../docs/commands.md"

// TestCommandReference holds docs/commands.md, and with it ndproxyd(8), to the
// commands.
func TestCommandReference(t *testing.T) {
	root := newRoot(env{getenv: func(string) string { return "" }})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var b strings.Builder
	b.WriteString("# Commands\n\n<!-- made of the commands' own help by \"make reference\" -->\n\n" + root.Long + "\n")
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			describe(&b, c)
		}
	}
	if *update {
		if err := os.WriteFile(commandsPath, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(commandsPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf(`%s is not what the commands say: run "make reference"`, commandsPath)
	}
}

func describe(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## `ndproxyd %s`\n\n", c.Use)
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	b.WriteString(strings.TrimSpace(text) + "\n")
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh host\n%s\n```\n", strings.ReplaceAll(strings.Trim(c.Example, "\n"), "\n  ", "\n")[2:])
	}
	if c.HasAvailableSubCommands() {
		for _, s := range c.Commands() {
			fmt.Fprintf(b, "\n- `%s`: %s", s.CommandPath(), s.Short)
		}
		b.WriteString("\n")
	}
	first := true
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		if first {
			b.WriteString("\n| flag | default | meaning |\n|---|---|---|\n")
			first = false
		}
		name, usage := pflag.UnquoteUsage(f)
		if name != "" {
			name = " " + name
		}
		value := ""
		if f.DefValue != "" && f.DefValue != "[]" {
			value = " `" + f.DefValue + "`"
		}
		short := ""
		if f.Shorthand != "" {
			short = "`-" + f.Shorthand + "`, "
		}
		fmt.Fprintf(b, "| %s`--%s%s` |%s | %s |\n", short, f.Name, name, value, usage)
	})
}
