// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/daemon"
)

// Exit codes.
const (
	exitDone      = 0
	exitFailed    = 1 // failed while running
	exitUsage     = 2 // usage or configuration
	exitPrivilege = 3 // missing privilege
)

// env is what a command touches of the process.
type env struct {
	program        string // by which name it was called
	args           []string
	stdout, stderr *os.File
	getenv         func(string) string
}

// exitError is an error with the exit code that it ends with.
type exitError struct {
	code int
	err  error
}

// errShown stands for an error that was written to standard error already.
var errShown = errors.New("see above")

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks an error of the command line or the configuration.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitUsage, err: err}
}

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, e env) int {
	root := newRoot(e)
	if isNDPPD(e.program) {
		root = newNDPPD(e)
	}
	root.SetArgs(e.args)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var exit *exitError
	var faults config.Errors
	switch {
	case errors.As(err, &exit):
		code = exit.code
	case errors.Is(err, daemon.ErrPrivilege):
		code = exitPrivilege
	}
	if errors.Is(err, errShown) {
		return code
	}
	text := "ndproxyd: " + err.Error()
	if errors.As(err, &faults) { // each line begins with its place
		text = err.Error()
	}
	for line := range strings.Lines(text) { // of which one may hold all of a wrong value
		_, _ = fmt.Fprintln(e.stderr, config.Shorten(strings.TrimSuffix(line, "\n")))
	}
	return code
}

func newRoot(e env) *cobra.Command {
	root := &cobra.Command{
		Use:   "ndproxyd",
		Short: "Answer IPv6 Neighbor Solicitations for addresses behind this node",
		Long: `ndproxyd answers IPv6 Neighbor Solicitations on a node's uplink for addresses
that live behind the node: pods, services, containers, virtual machines.

Exit codes: 0 done, 1 failed while running, 2 usage or configuration,
3 missing privilege. Each flag of a command may be given as an environment
variable: --log-level is NDPROXYD_LOG_LEVEL.`,
		Example:       "  ndproxyd run --interface eth0 --rule 2001:db8:1:0:f::/80=static",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(knownCommand),
		// "chek" is close enough to "check".
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(errors.Join(errors.New("a command is missing"), cmd.Usage()))
		},
	}
	root.SetUsageFunc(plainUsage(root.UsageFunc()))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w (see \"%s --help\")", err, cmd.CommandPath()))
	})
	root.AddCommand(
		newRun(e), newCheck(e), newExplain(e), newStatus(e), newWatch(e), newDetach(e), newConvert(e), newDemo(e), newVersion(e),
	)
	for _, c := range root.Commands() {
		c.PreRunE = func(cmd *cobra.Command, _ []string) error { return usage(fromEnvironment(cmd, e)) }
	}
	return root
}

// maxCommand is the longest word that may be a misspelled command.
const maxCommand = 64

// knownCommand refuses what is no command, and names the one that was meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := fmt.Sprintf(" (see \"%s --help\")", cmd.CommandPath())
	if len(args[0]) <= maxCommand {
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf(" (did you mean %q?)", near[0])
		}
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
}

// plainUsage leaves "[=true|false]" out of the usage: a flag that is there is on,
// and the text stays aligned.
func plainUsage(write func(*cobra.Command) error) func(*cobra.Command) error {
	const value = "[=true|false]"
	return func(c *cobra.Command) error {
		out := c.OutOrStderr()
		var b bytes.Buffer
		c.SetOut(&b)
		err := write(c)
		c.SetOut(out)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, strings.ReplaceAll(b.String(), value, strings.Repeat(" ", len(value))))
		return err
	}
}

// usageArgs makes wrong arguments an error of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return usage(check(cmd, args)) }
}

// fromEnvironment gives flags that are not set the value of their variable. What
// the command line says excludes the variables that it could not stand beside: a
// file those of --interface and --rule, and these the file's.
func fromEnvironment(cmd *cobra.Command, e env) error {
	excluded := map[string]bool{"help": true}
	for _, f := range fileFlags() {
		for _, q := range quickFlags() {
			byFile, byFlags := cmd.Flags().Changed(f), cmd.Flags().Changed(q)
			excluded[f] = excluded[f] || byFlags && cmd.Flags().Lookup("config") != nil
			excluded[q] = excluded[q] || byFile
		}
	}
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		if v := e.getenv(name); v != "" && !f.Changed && !excluded[f.Name] {
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

func envName(flag string) string {
	b := []byte("NDPROXYD_" + flag)
	for i, c := range b {
		switch {
		case c == '-':
			b[i] = '_'
		case c >= 'a' && c <= 'z':
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// textWriter is a fact that a command prints.
type textWriter interface{ WriteText(io.Writer) error }

// output is the --output flag.
type output struct{ format string }

func (o *output) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "`FORMAT` of the output: text or json")
}

func (o *output) check() error {
	if o.format != "text" && o.format != "json" {
		return usage(fmt.Errorf("--output %q is not one of text, json", o.format))
	}
	return nil
}

func (o *output) write(w io.Writer, v textWriter) error {
	if o.format == "json" {
		j := json.NewEncoder(w)
		j.SetIndent("", "  ")
		return j.Encode(v)
	}
	return v.WriteText(w)
}

// line writes one of many facts: JSON takes one line each.
func (o *output) line(w io.Writer, v textWriter) error {
	if o.format == "json" {
		return json.NewEncoder(w).Encode(v)
	}
	return v.WriteText(w)
}

// controlFlag is the --control flag.
func controlFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "control", control.DefaultAddress, "`ADDRESS` of the control socket: a path, or @NAME for one of the network namespace")
}
