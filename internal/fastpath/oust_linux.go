// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"strings"
)

// endStrays detaches what earlier daemons have left on the device and nobody writes to: it
// would go on answering what this daemon does not answer. It is called after this daemon has
// begun to answer, so that nothing is unanswered in between; of two programs the first one to
// see a frame answers it. Another daemon that lives is in another network namespace. It returns
// what stays, and whether that is sure to be all.
func (r *Responder) endStrays() (left string, sure bool) {
	if privileged() != nil { // nothing can be seen
		return "", false
	}
	stay, unknown, err := r.detachStrays(func(a *attached) bool {
		return r.fast != nil && a.id == r.fast.hook.Program()
	})
	if found := fmt.Sprint(err, unknown); found != r.warnedStrays { // it is tried again and again
		r.warnedStrays = found
		if err != nil {
			r.log().Warn("what earlier daemons have left in the kernel may stay there", "err", err)
		}
		if unknown > 0 {
			r.log().Info("of some programs on the interface the daemon cannot tell whether an earlier one has left them", "programs", unknown)
		}
	}
	return strings.Join(stay, ", "), err == nil && unknown == 0
}

// leaveBehind does so beside the program that answers now, if there is one, and has the path
// tell what stays. What is leaving goes first, and then it is called again.
func (r *Responder) leaveBehind() {
	if r.leaving != nil {
		return
	}
	r.leftover, _ = r.endStrays()
	path := *r.path.Load()
	path.Left = r.leftover
	r.path.Store(&path)
}

// detachStrays detaches all but those that own picks. It returns what stays, with the errors,
// and of how many programs it cannot tell whose they are.
func (r *Responder) detachStrays(own func(*attached) bool) (stay []string, unknown int, err error) {
	strays, unknown, err := straysOn(r.Index(), new(pinnedPrograms), own)
	stay, derr := r.detachThose(strays)
	return stay, unknown, errors.Join(err, derr)
}

func (r *Responder) detachThose(strays []stray) (stay []string, err error) {
	gone, stay, err := detachAll(strays, r.Index())
	for _, what := range gone {
		r.log().Info("removed what an earlier daemon has left in the kernel", "what", what)
	}
	if err != nil {
		return stay, fmt.Errorf("detach %w", err)
	}
	return nil, nil
}

// freeXDP detaches what earlier daemons have left at the device's XDP hook, which takes one
// program. What is at other hooks is not in its way. What answers now goes on until the next
// program is there: the packet socket, or a program at tc ingress.
func (r *Responder) freeXDP() error {
	all, err := attachedToXDP(r.Index())
	strays, _, nerr := straysAmong(all, new(pinnedPrograms))
	_, derr := r.detachThose(strays)
	return errors.Join(err, nerr, derr)
}
