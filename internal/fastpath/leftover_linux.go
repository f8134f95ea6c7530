// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
)

// findLeftover looks, by what takes no privileges, for a program that an earlier daemon has left
// attached, and that this one could not end: known is what tells of one, and perhaps what
// may be one. At tcx a program is seen by its pins alone.
func (r *Responder) findLeftover() (known, perhaps string) {
	var certain, possible []string
	if r.namespaceErr == nil {
		path := r.folderPath()
		_, err := os.Lstat(filepath.Join(path, pinnedAbout))
		switch {
		case err == nil:
			certain = append(certain, "pinned in "+path)
		case errors.Is(err, fs.ErrPermission) && exists(r.options.Directory):
			possible = append(possible, "it may not look into "+r.options.Directory)
		}
	}
	l, err := netlink.LinkByIndex(r.Index())
	if err != nil { // then nothing is attached
		return strings.Join(certain, ", "), strings.Join(possible, ", ")
	}
	if filters, err := ownFilters(l); err == nil && len(filters) > 0 {
		certain = append(certain, "the filter "+filterName+" at tc ingress")
	}
	if x := l.Attrs().Xdp; x != nil && x.Attached {
		possible = append(possible, fmt.Sprintf("program %d has the XDP hook", x.ProgId))
	}
	return strings.Join(certain, ", "), strings.Join(possible, ", ")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// lookBehind says once what stays of an earlier daemon, by what can be seen and by the error
// of its removal. It returns why this one has no program, with what else may have been left.
func (r *Responder) lookBehind(why, removal error) error {
	var perhaps string
	var sure bool
	if r.leftover, sure = r.endStrays(); !sure && r.leftover == "" {
		r.leftover, perhaps = r.findLeftover()
	}
	if found := fmt.Sprint(r.leftover, removal); found != r.warnedLeft {
		r.warnedLeft = found
		switch {
		case r.leftover != "":
			r.log().Warn(`the program of an earlier daemon stays attached, and answers by its own table until its hold ends: "ndproxyd detach" as root removes it`, "left", r.leftover)
		case removal != nil:
			r.log().Warn("what an earlier daemon has left in the kernel stays there", "err", removal)
		}
	}
	if r.leftover == "" && perhaps != "" && privileged() != nil {
		return fmt.Errorf("%w; nor to see whether an earlier daemon has left one: %s", why, perhaps)
	}
	return why
}
