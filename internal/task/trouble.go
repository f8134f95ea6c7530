// SPDX-License-Identifier: Apache-2.0

package task

import (
	"log/slog"
	"sync"
)

// Trouble logs errors that come back again and again, each of them once. It
// keeps the causes apart, so that one of them never hides another. Any goroutine
// may call its methods.
type Trouble struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]string // the last error of each cause
}

// NewTrouble makes a Trouble that logs warnings.
func NewTrouble(log *slog.Logger) *Trouble {
	return &Trouble{log: log, last: make(map[string]string)}
}

// Report logs err, unless it is what the cause was last reported with. A nil err
// ends the trouble of that cause: whatever comes next is logged.
func (t *Trouble) Report(cause string, err error) {
	if t.changed(cause, err) {
		t.log.Warn("trouble", "cause", cause, "err", err)
	}
}

// changed reports whether err is to be logged, and remembers it.
func (t *Trouble) changed(cause string, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.last, cause)
		return false
	}
	if t.last[cause] == err.Error() {
		return false
	}
	t.last[cause] = err.Error()
	return true
}
