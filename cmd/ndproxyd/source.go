// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// source is where the configuration comes from: a file, or the flags of a
// quick start.
type source struct {
	path       string
	format     config.Format
	lenient    bool
	interfaces []string
	rules      []string
	getenv     func(string) string
}

func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.path, "config", "c", "", "configuration `FILE` (default "+config.DefaultPath+", if it is there); a name that ends in .conf is that of an ndppd.conf")
	lenientFlag(cmd, &s.lenient)
	cmd.Flags().StringSliceVarP(&s.interfaces, "interface", "i", nil, "uplink by `NAME`, instead of a file; repeat for several (default: interfaces with an IPv6 default route)")
	cmd.Flags().StringSliceVarP(&s.rules, "rule", "r", nil, "`PREFIX=METHOD` to answer for, instead of a file; repeat for several (default: route, for the uplinks' on-link prefixes)")
}

// lenientFlag is the --ndppd-lenient flag.
func lenientFlag(cmd *cobra.Command, lenient *bool) {
	cmd.Flags().BoolVar(lenient, "ndppd-lenient", false, "load an ndppd.conf as ndppd does, and only warn of what it reads in another way than it looks")
}

// fileFlags and quickFlags are the flags of which the ones exclude the others.
func fileFlags() []string  { return []string{"config", "ndppd-lenient"} }
func quickFlags() []string { return []string{"interface", "rule"} }

func (s *source) fromFlags() bool { return len(s.interfaces) > 0 || len(s.rules) > 0 }

func (s *source) check() error {
	if s.fromFlags() && s.path != "" {
		return usage(errors.New("--config (or NDPROXYD_CONFIG) goes without --interface and --rule (or their variables): put them into the file"))
	}
	if s.lenient && s.path == "" {
		return usage(errors.New("--ndppd-lenient goes with --config and the name of an ndppd.conf"))
	}
	return nil
}

// load returns the configuration. Its errors are the operator's to mend.
func (s *source) load() (*config.Config, error) {
	c, err := s.read()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read host name: %w", err)
	}
	return c, usage(c.Complete(config.Site{Getenv: s.getenv, Hostname: host}))
}

// read returns the configuration as it is written.
func (s *source) read() (*config.Config, error) {
	if s.fromFlags() {
		c, err := config.FromFlags(s.interfaces, s.rules)
		return c, usage(err)
	}
	if s.discovers() {
		return config.Discovery(), nil
	}
	format := s.format
	if s.lenient {
		format = config.NDPPDLenient
	}
	c, err := config.Load(s.file(), format)
	return c, usage(err)
}

// discovers reports whether there is nothing to load: no flags, no file named,
// and none at the default place.
func (s *source) discovers() bool {
	if s.fromFlags() || s.path != "" {
		return false
	}
	_, err := os.Stat(config.DefaultPath)
	return errors.Is(err, os.ErrNotExist)
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
		var parts []string
		for _, i := range s.interfaces {
			parts = append(parts, "--interface "+i)
		}
		for _, r := range s.rules {
			parts = append(parts, "--rule "+r)
		}
		return strings.Join(parts, " ")
	}
	if s.discovers() {
		return "none: the kernel's routes alone"
	}
	return s.file()
}
