// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// Frames builds n frames, so that a flood has nothing left to do but to send them.
func Frames(n int, frame func(i int) conformance.Frame) [][]byte {
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = frame(i).Bytes()
	}
	return frames
}

// Flood sends frames out of a device, one after the other and from the start again,
// at a rate per second. A machine that cannot make the rate sends fewer. It ends with
// the returned function, which reports how many frames were sent, or with the test.
func Flood(tb testing.TB, ns *lab.Namespace, device string, perSecond int, frames [][]byte) (stop func() int) {
	tb.Helper()
	var fd int
	Must(tb, ns.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		// Protocol 0 sends only.
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	}))
	end, sent := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { sent <- n }()
		begin := time.Now()
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
			}
			// What was missed in a pause is not made up for in one go.
			due := min(int(time.Since(begin).Seconds()*float64(perSecond))-n, max(1, perSecond/100))
			for range due {
				if _, err := unix.Write(fd, frames[n%len(frames)]); err != nil && !errors.Is(err, unix.ENOBUFS) {
					tb.Errorf("flood: %v", err)
					return
				}
				n++
			}
		}
	}()
	stop = sync.OnceValue(func() int {
		close(end)
		n := <-sent
		_ = unix.Close(fd)
		return n
	})
	tb.Cleanup(func() { stop() })
	return stop
}
