// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"io/fs"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/targets"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                    string
		file                    targets.File
		problem, effect, remedy string
		severity                inspect.Severity
	}{
		{name: "right", file: targets.File{Path: "/t", Targets: 3}},
		{
			"missing", targets.File{Path: "/t", Err: &fs.PathError{Op: "open", Path: "/t", Err: fs.ErrNotExist}, Remedy: "create it"},
			"the file of targets cannot be read: open /t: file does not exist", "nothing is answered by the rules with this file", "create it", inspect.Warning,
		},
		{
			"gone", targets.File{Path: "/t", Targets: 1, Err: fs.ErrPermission, Remedy: "mend it"},
			"the file of targets cannot be read: permission denied", "what it listed before is still answered for: 1 target", "mend it", inspect.Warning,
		},
		{
			"faults", targets.File{Path: "/t", Targets: 1, Wrong: 1, Outside: 2, Faults: []targets.Fault{{Line: 3, Text: "x"}, {Line: 7, Text: "y"}}},
			"3 lines of /t do not count: line 3: x; line 7: y; and 1 more", "what these lines mean is not answered for; the others are", "correct the lines in /t, which is read again at once", inspect.Warning,
		},
		{
			"hidden", targets.File{Path: "/t", Hidden: "/t may not be read by everybody"},
			"the service of the packages runs as a user of its own, and cannot read the file of targets: /t may not be read by everybody", "where the service runs like that, nothing is answered by the rules with this file",
			"keep the file in /etc/ndproxyd, /run or /var/lib, readable by everybody (chmod 644), or give the unit a group that may read it (SupplementaryGroups=)", inspect.Info,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := inspect.Targets([]targets.File{tt.file})
			if tt.problem == "" {
				if len(found) != 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			want := inspect.Finding{Reason: "targets", Severity: tt.severity, Problem: tt.problem, Effect: tt.effect, Remedy: tt.remedy}
			if len(found) != 1 || found[0] != want {
				t.Errorf("found %+v, want %+v", found, want)
			}
		})
	}
}
