// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// source is where the configuration comes from: a file, or the flags of a
// quick start.
type source struct {
	path       string
	interfaces []string
	rules      []string
}

func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.path, "config", "c", "", "configuration file (default "+config.DefaultPath+")")
	cmd.Flags().StringSliceVarP(&s.interfaces, "interface", "i", nil, "uplink, instead of a file; repeat for several")
	cmd.Flags().StringSliceVarP(&s.rules, "rule", "r", nil, "PREFIX=METHOD to answer for, instead of a file; repeat for several")
}

func (s *source) fromFlags() bool { return len(s.interfaces) > 0 || len(s.rules) > 0 }

func (s *source) check() error {
	if s.fromFlags() && s.path != "" {
		return usage(errors.New("--config goes without --interface and --rule: put them into the file"))
	}
	return nil
}

// load returns the configuration. Its errors are the operator's to mend.
func (s *source) load() (*config.Config, error) {
	if s.fromFlags() {
		c, err := config.FromFlags(s.interfaces, s.rules)
		return c, usage(err)
	}
	c, err := config.Load(s.file())
	return c, usage(err)
}

func (s *source) file() string {
	if s.path == "" {
		return config.DefaultPath
	}
	return s.path
}

// origin names the source in logs and status.
func (s *source) origin() string {
	if s.fromFlags() {
		return "--interface " + strings.Join(s.interfaces, ",") + " --rule " + strings.Join(s.rules, ",")
	}
	return s.file()
}
