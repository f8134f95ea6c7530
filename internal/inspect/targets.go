// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/targets"
)

// Targets returns findings about files of targets.
func Targets(files []targets.File) []Finding {
	var found []Finding
	for _, f := range files {
		if f.Hidden != "" {
			found = append(found, Finding{
				Reason: reasonTargets, Severity: Info, Problem: "the service of the packages runs as a user of its own, and cannot read the file of targets: " + f.Hidden,
				Effect: "where the service runs like that, nothing is answered by the rules with this file",
				Remedy: "keep the file in /etc/ndproxyd, /run or /var/lib, readable by everybody (chmod 644), or give the unit a group that may read it (SupplementaryGroups=)",
			})
		}
		at := Finding{Reason: reasonTargets, Severity: Warning}
		switch {
		case f.Err != nil:
			at.Problem, at.Remedy = "the file of targets cannot be read: "+f.Err.Error(), f.Remedy
			at.Effect = "nothing is answered by the rules with this file"
			if f.Targets > 0 {
				at.Effect = "what it listed before is still answered for: " + plural(f.Targets, "target", "targets")
			}
		case len(f.Faults) > 0:
			at.Problem = fmt.Sprintf("%s of %s do not count: %s", plural(f.Wrong+f.Outside, "line", "lines"), f.Path, lines(f))
			at.Effect = "what these lines mean is not answered for; the others are"
			at.Remedy = "correct the lines in " + f.Path + ", which is read again at once"
		default:
			continue
		}
		found = append(found, at)
	}
	return found
}

// lines shows the faults of a file, the first of many.
func lines(f targets.File) string {
	var shown []string
	for _, fault := range f.Faults {
		shown = append(shown, fmt.Sprintf("line %d: %s", fault.Line, fault.Text))
	}
	if more := f.Wrong + f.Outside - len(f.Faults); more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(shown, "; ")
}
