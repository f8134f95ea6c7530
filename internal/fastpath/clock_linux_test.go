// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inTimeNamespace says that the test runs in a time namespace of its own.
const inTimeNamespace = "NDPROXYD_TEST_TIME_NAMESPACE"

// TestTimeNamespace runs the daemon's part in a time namespace, whose clocks are ahead of
// those that the program reads, or behind: the program answers, and ends to be believed
// when it has to.
func TestTimeNamespace(t *testing.T) {
	t.Parallel()
	if os.Getenv(inTimeNamespace) != "" {
		holdInTimeNamespace(t)
		return
	}
	for _, offset := range []int{100_000, -int(uptime(t)/time.Second) / 2} {
		t.Run(fmt.Sprint(offset), func(t *testing.T) {
			t.Parallel()
			c := exec.Command(os.Args[0], "-test.run=^TestTimeNamespace$", "-test.count=1")
			c.Env = append(os.Environ(), inTimeNamespace+"=1")
			result := make(chan error)
			go func() {
				runtime.LockOSThread() // what it starts is in the namespace; it ends with this
				err := unix.Unshare(unix.CLONE_NEWTIME)
				if err == nil {
					offsets := fmt.Sprintf("monotonic %d 0\nboottime %d 0\n", offset, offset)
					err = os.WriteFile(fmt.Sprintf("/proc/%d/timens_offsets", unix.Gettid()), []byte(offsets), 0)
				}
				if err == nil {
					var out []byte
					if out, err = c.CombinedOutput(); err != nil {
						err = fmt.Errorf("%w: %s", err, out)
					}
				}
				result <- err
			}()
			if err := <-result; err != nil {
				t.Error(err)
			}
		})
	}
}

// uptime returns the time since the host has started.
func uptime(t *testing.T) time.Duration {
	t.Helper()
	now, err := kernelTime()
	check(t, err)
	return time.Duration(now)
}

func holdInTimeNamespace(t *testing.T) {
	if ahead, err := kernelAhead(); err != nil || time.Duration(ahead).Abs() < time.Second {
		t.Fatalf("the program's clock is ahead by %d ns, %v", int64(ahead), err)
	}
	s := newStage(t)
	s.config.FastPathHold = 2 * time.Second
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("running", "2001:db8:f1::1", true)
	check(t, r.CountDrops())
	if n := s.byProgram(); n != 1 {
		t.Errorf("the program has answered %d times", n)
	}
	crash(t, r)
	s.want("after the crash", "2001:db8:f1::1", true)
	r = s.listen(view(t, static("2001:db8:f1::/64")))
	check(t, r.CountDrops())
	if n := s.byProgram(); n != 2 {
		t.Errorf("the program has answered %d times until the next daemon", n)
	}
	crash(t, r)
	time.Sleep(s.config.FastPathHold + 100*time.Millisecond)
	s.want("after the hold", "2001:db8:f1::1", false)
}
