// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/targets"
)

// Targets returns findings about files of targets, one a file at most.
func Targets(files []targets.File) []Finding {
	var found []Finding
	for _, f := range files {
		at := Finding{Reason: reasonTargets, Severity: Warning}
		switch {
		case f.Err != nil:
			at.Problem, at.Remedy = "the file of targets cannot be read: "+f.Err.Error(), f.Remedy
			at.Effect = "nothing is answered by the rules with this file"
			if f.Targets > 0 {
				at.Effect = fmt.Sprintf("the %s that it had are answered for, and no others", plural(f.Targets, "target", "targets"))
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
