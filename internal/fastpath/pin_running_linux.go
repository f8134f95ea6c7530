// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"path/filepath"
	"time"
)

// pins returns the folder of the interface, nil where nothing can be pinned, and why.
func (r *Responder) pins() (*folder, error) {
	if err := onBPFFS(r.options.Directory); err != nil {
		return nil, err
	}
	if r.namespaceErr != nil {
		return nil, r.namespaceErr
	}
	path := r.folderPath()
	for _, at := range []string{path, path + newSuffix} {
		if err := ours(at); err != nil {
			return nil, err
		}
	}
	return &folder{path: path, pin: r.options.pin()}, nil
}

// folderPath returns the folder of the interface, if it has one.
func (r *Responder) folderPath() string {
	return filepath.Join(namespaceFolder(r.options.Directory, r.namespace), folderOf(r.config.Interface))
}

// pin pins a program that answers, or takes down that it is pinned already. It does nothing
// where something else is known to be in the way.
func (f *running) pin(index int, already bool) {
	f.program.mu.Lock()
	defer f.program.mu.Unlock()
	p := f.program
	p.about.Index, p.about.Way = uint32(index), uint32(f.hook.Way()) //nolint:gosec // an index
	if f.why == nil {
		f.why = p.about.write(p.aboutMap)
	}
	if f.why != nil || already {
		return
	}
	f.why = f.folder.make(func(next *folder) error { return p.pinAll(next, f.hook) })
	if f.why == nil {
		p.maps.folder = f.folder
	}
}

// pinAnew pins a program whose folder somebody has removed, or that could not be pinned,
// such as before the bpffs was mounted. Who holds the lock ends the guard perhaps, and so is
// not waited for.
func (r *Responder) pinAnew(fast *running) {
	now := time.Now()
	whole := fast.why == nil && fast.folder.complete()
	if whole || now.Before(fast.pinAgain) || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.fast != fast || !fast.program.owned() {
		return
	}
	before, reason := fast.pinned()
	fast.pinAgain = fast.pins.next(now)
	r.pin(fast)
	r.showLines()
	switch after, why := fast.pinned(); {
	case after != "":
		r.log().Info("the program in the kernel is pinned", "folder", after)
	case before != "" || why != reason:
		r.log().Warn("answers will end with the daemon", "why", why)
	}
}

// pin pins a program in a folder that is made anew.
func (r *Responder) pin(fast *running) {
	if fast.folder == nil {
		if fast.folder, fast.why = r.pins(); fast.folder == nil {
			return
		}
	}
	fast.why = nil
	fast.program.pinLater()
	fast.pin(r.Index(), false)
	r.keepHearing() // which it may have been no use for before
}
