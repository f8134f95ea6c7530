// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/status"
)

// version and revision are set by the linker: -X main.version=1.2.3. Without, the
// revision is what the Go command noted.
var version, revision = "devel", ""

// buildVersion tells what this program was built from.
func buildVersion() status.Version {
	v := status.Version{Version: version, Revision: revision, Go: runtime.Version()}
	if v.Revision != "" {
		return v
	}
	v.Revision = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

// versionText prints a version for people.
type versionText struct{ status.Version }

// WriteText implements textWriter.
func (v versionText) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "ndproxyd %s (revision %s, %s)\n", v.Version.Version, v.Revision, v.Go)
	return err
}

func newVersion(e env) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  ndproxyd version --output json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return out.write(e.stdout, versionText{buildVersion()})
		},
	}
	out.flag(cmd)
	return cmd
}
