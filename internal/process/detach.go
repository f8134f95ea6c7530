// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// detachedVar is set in the environment of the process that [Detach] starts.
const detachedVar = "NDPROXYD_DETACHED"

// readyMark is the octet by which the new process says that it is ready. It is not part of
// any message.
const readyMark = 0

// DetachError says that the process that [Detach] started has ended before it was ready. It
// has written the reason.
type DetachError struct {
	// Code is its exit code, or -1 if a signal ended it.
	Code int
}

func (e *DetachError) Error() string {
	return fmt.Sprintf("the daemon ended with exit code %d before it was ready", e.Code)
}

// Detach starts this program once more with the same arguments, as a daemon: in a session
// of its own, without a terminal, and with no file of the caller's open. It returns when
// that process has called [Detached.Ready], or with a [*DetachError] when it has ended
// before. What the process writes to its standard error until then is copied to stderr.
//
// A process of Go cannot fork, so the daemon is a new process from the beginning. The
// program is the same even if its file has been replaced meanwhile.
func Detach(args []string, stderr io.Writer) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("start daemon: %w", err)
	}
	defer func() { _ = null.Close() }()
	messages, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start daemon: %w", err)
	}
	defer func() { _ = messages.Close() }()
	closeOnExec()
	daemon, err := os.StartProcess("/proc/self/exe", args, &os.ProcAttr{
		Env:   append(os.Environ(), detachedVar+"=1"),
		Files: []*os.File{null, null, theirs},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	_ = theirs.Close() // so that the end of the daemon is the end of the messages
	if err != nil {
		return fmt.Errorf("start daemon: %w", err)
	}
	if copyMessages(stderr, messages) {
		return daemon.Release()
	}
	state, err := daemon.Wait()
	if err != nil {
		return fmt.Errorf("wait for daemon: %w", err)
	}
	return &DetachError{Code: state.ExitCode()}
}

// copyMessages copies what a daemon writes, until it says that it is ready or has ended.
func copyMessages(w io.Writer, r io.Reader) (ready bool) {
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		text, _, ready := bytes.Cut(b[:n], []byte{readyMark})
		_, _ = w.Write(text)
		if ready || err != nil {
			return ready
		}
	}
}

// closeOnExec keeps files that the caller left open, such as a pipe that a panel reads to
// its end, from staying open for as long as the daemon runs.
func closeOnExec() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil { // no /proc: the daemon keeps them open, which is all
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// Detached is the daemon's side of [Detach].
type Detached struct{}

// IsDetached returns the Detached of a process that Detach has started, and false in any
// other process. It gives the process the name that ps, pgrep and start-stop-daemon look
// for.
func IsDetached(getenv func(string) string, name string) (Detached, bool) {
	if getenv(detachedVar) == "" {
		return Detached{}, false
	}
	_ = os.Unsetenv(detachedVar)
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // the kernel took it from /proc/self/exe
	return Detached{}, true
}

// Ready says that the daemon does its work, and closes its standard error. It fails if
// nobody waits for it any more: who started the daemon has been stopped.
func (Detached) Ready() error {
	if _, err := os.Stderr.Write([]byte{readyMark}); err != nil {
		return fmt.Errorf("tell the caller: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("close standard error: %w", err)
	}
	defer func() { _ = null.Close() }()
	if err := unix.Dup3(int(null.Fd()), int(os.Stderr.Fd()), 0); err != nil {
		return fmt.Errorf("close standard error: %w", err)
	}
	return nil
}

// WritePID writes the ID of this process for scripts that ask for it, over the file of a
// process that has ended. The returned function removes the file, unless another process
// has written its own ID there by then.
func WritePID(path string) (remove func(), err error) {
	content := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // others read it
		return nil, errors.Join(fmt.Errorf("write process ID: %w", err), errors.New("name another file with -p, or leave it out"))
	}
	return func() {
		if b, err := os.ReadFile(path); err == nil && bytes.Equal(b, content) { //nolint:gosec // the operator names the file
			_ = os.Remove(path)
		}
	}, nil
}
