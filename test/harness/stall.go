// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/packet"
)

// Machines that run tests stand still for seconds at times: where there is neither
// processor time nor progress, no time has passed for what is tested.
const (
	// stallTick is how often the time is looked at, and stallLeast the shortest
	// pause that counts as a stall.
	stallTick, stallLeast = 10 * time.Millisecond, 100 * time.Millisecond
)

// stalls sums up the time for which this process, and most likely the machine, has not
// run.
type stalls struct {
	mu   sync.Mutex
	last time.Time
	sum  time.Duration
}

// watched begins to look at the time when it is asked for the first time.
var watched = sync.OnceValue(func() *stalls {
	s := &stalls{last: time.Now()}
	go func() {
		for range time.Tick(stallTick) {
			s.look()
		}
	}()
	return s
})

// look notes a stall that has just ended, and returns the sum.
func (s *stalls) look() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if pause := now.Sub(s.last); pause >= stallLeast {
		s.sum += pause
	}
	s.last = now
	return s.sum
}

// Stalled returns for how long this process has not run, from the first call on. A check
// that bounds a time compares it before and after.
func Stalled() time.Duration { return watched().look() }

// shortage returns for how long tasks of this machine have waited for a processor, all
// processors taken together, 0 where the kernel does not tell.
func shortage() time.Duration {
	b, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n") // "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", in microseconds
	_, total, _ := strings.Cut(line, "total=")
	us, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// Undisturbed calls f, and again while it fails and the machine has stalled meanwhile.
// It returns what f returned last.
func Undisturbed(f func() error) error {
	for {
		before := Stalled()
		err := f()
		if err == nil || Stalled() == before {
			return err
		}
	}
}

// readWithin reads a frame within a time, of which stalls of the machine are no part.
func readWithin(conn *packet.Conn, buf []byte, within time.Duration) (int, error) {
	for end := time.Now().Add(within); ; {
		before := Stalled()
		if err := conn.SetReadDeadline(end); err != nil {
			return 0, err
		}
		n, _, err := conn.ReadFrom(buf)
		stall := Stalled() - before
		if !os.IsTimeout(err) || stall == 0 {
			return n, err
		}
		end = end.Add(stall)
	}
}
