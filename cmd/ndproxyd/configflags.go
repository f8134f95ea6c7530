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

// configFlags are the flags that say where the configuration comes from: a file,
// or the interfaces and rules of a quick start.
type configFlags struct {
	path       string
	format     config.Format
	lenient    bool
	interfaces []string
	rules      []string
	getenv     func(string) string
}

func (f *configFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.path, "config", "c", "", "configuration `FILE` (default "+config.DefaultPath+", if it exists); a name that ends in .conf is read as an ndppd.conf")
	lenientFlag(cmd, &f.lenient)
	cmd.Flags().StringSliceVarP(&f.interfaces, "interface", "i", nil, "uplink by `NAME`, instead of a file; repeat for several (default: interfaces with an IPv6 default route)")
	cmd.Flags().StringSliceVarP(&f.rules, "rule", "r", nil, "`PREFIX=METHOD` to answer for, instead of a file; \"uplink\" stands for the uplinks' prefixes; repeat for several (default: route, for the uplinks' on-link prefixes)")
}

// lenientFlag is the --ndppd-lenient flag.
func lenientFlag(cmd *cobra.Command, lenient *bool) {
	cmd.Flags().BoolVar(lenient, "ndppd-lenient", false, "read an ndppd.conf as ndppd does, and only warn where that is not what it looks like; run always does")
}

// fileFlags and quickFlags are the flags of which the ones exclude the others.
func fileFlags() []string  { return []string{"config", "ndppd-lenient"} }
func quickFlags() []string { return []string{"interface", "rule"} }

func (f *configFlags) fromFlags() bool { return len(f.interfaces) > 0 || len(f.rules) > 0 }

func (f *configFlags) check() error {
	if f.fromFlags() && f.path != "" {
		return usage(errors.New("--config (or NDPROXYD_CONFIG) goes without --interface and --rule (or their variables): put them into the file"))
	}
	if f.lenient && f.path == "" {
		return usage(errors.New("--ndppd-lenient goes with --config and the name of an ndppd.conf"))
	}
	return nil
}

// load returns the configuration. The operator has to correct what its errors name.
func (f *configFlags) load() (*config.Config, error) {
	c, err := f.read()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("read host name: %w", err)
	}
	return c, usage(c.Complete(config.Host{Getenv: f.getenv, Hostname: host}))
}

// read returns the configuration as it is written.
func (f *configFlags) read() (*config.Config, error) {
	if f.fromFlags() {
		c, err := config.FromFlags(f.interfaces, f.rules)
		return c, usage(err)
	}
	if f.discovers() {
		return config.Discovery(), nil
	}
	format := f.format
	if f.lenient {
		format = config.NDPPDLenient
	}
	c, err := config.Load(f.file(), format)
	return c, usage(err)
}

// discovers reports whether there is nothing to load: no flags, no file named,
// and none at the default place.
func (f *configFlags) discovers() bool {
	if f.fromFlags() || f.path != "" {
		return false
	}
	_, err := os.Stat(config.DefaultPath)
	return errors.Is(err, os.ErrNotExist)
}

func (f *configFlags) file() string {
	if f.path == "" {
		return config.DefaultPath
	}
	return f.path
}

// origin names it in logs and status.
func (f *configFlags) origin() string {
	if f.fromFlags() {
		var parts []string
		for _, i := range f.interfaces {
			parts = append(parts, "--interface "+i)
		}
		for _, r := range f.rules {
			parts = append(parts, "--rule "+r)
		}
		return strings.Join(parts, " ")
	}
	if f.discovers() {
		return "none: the kernel's routes alone"
	}
	return f.file()
}
