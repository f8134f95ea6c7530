// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

// TestPinDirectory finds the directory in which the daemon pins, and says so where it does
// not go by the configuration.
func TestPinDirectory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		src       configFlags
		directory string
		warning   string
		fails     bool
	}{
		"a file":       {src: configFlags{path: write(t, "version: 1\nfast_path_directory: /bpf/x\nrules: []\n")}, directory: "/bpf/x"},
		"a wrong file": {src: configFlags{path: write(t, "version: 2\n")}, fails: true},
		"none, and a configuration that is wrong": {
			src: configFlags{rules: []string{"nonsense"}}, directory: config.DefaultFastPathDirectory,
			warning: "ndproxyd: looking in " + config.DefaultFastPathDirectory + ", because of the configuration: ",
		},
		"none": {src: configFlags{interfaces: []string{"none9"}}, directory: config.DefaultFastPathDirectory},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.src.getenv = os.Getenv
			var warnings strings.Builder
			got, err := pinDirectory(c.src, &warnings)
			if got != c.directory || (err != nil) != c.fails {
				t.Errorf("it is %q, %v", got, err)
			}
			if said := warnings.String(); !strings.HasPrefix(said, c.warning) || (said == "") != (c.warning == "") {
				t.Errorf("it says %q", said)
			}
		})
	}
}
