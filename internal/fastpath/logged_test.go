// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"bytes"
	"strings"
	"sync"
)

// Logged is what was logged.
type Logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *Logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *Logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// Has reports whether some words were logged.
func (l *Logged) Has(words string) bool { return strings.Contains(l.String(), words) }

// Reset forgets what was logged.
func (l *Logged) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Reset()
}
