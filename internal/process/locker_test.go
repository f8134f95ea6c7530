// SPDX-License-Identifier: Apache-2.0

package process_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/process"
)

// Locks are taken by processes of their own, each in the
// network namespace of its test, as the kernel's list of packet sockets is that
// of a thread.
const (
	helperName = "PROCESS_TEST_LOCK"
	held       = "locked\n"

	// predecessorName is the variable with the name that a helper waits for.
	predecessorName = "PROCESS_TEST_PREDECESSOR"
	// waitName is that with how long it waits for another one.
	waitName = "PROCESS_TEST_WAIT"
)

// patience is how long a test waits for what comes at once on a machine that has
// nothing else to do. A loaded one stalls for seconds.
const patience = time.Minute

func TestMain(m *testing.M) {
	if name := os.Getenv(helperName); name != "" {
		os.Exit(holdLock(name))
	}
	os.Exit(m.Run())
}

// holdLock takes the lock, says so, and keeps it until its input ends.
func holdLock(name string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	o := process.Options{Name: name, Log: log}
	if before := os.Getenv(predecessorName); before != "" {
		o.Predecessor = func(name string) bool { return name == before }
	}
	if d, err := time.ParseDuration(os.Getenv(waitName)); err == nil {
		o.SetWait(d)
	}
	release, err := process.Lock(context.Background(), o)
	if err != nil {
		log.Error("lock", "err", err)
		return 1
	}
	defer release()
	_, _ = os.Stdout.WriteString(held)
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

// buffer collects what a process writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// locker is a process that takes the lock.
type locker struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	out   buffer
	done  chan error
}

// startLocker starts one as a user with CAP_NET_RAW and no other capability.
func startLocker(t *testing.T, ns *lab.Namespace, name string, uid uint32, vars ...string) *locker {
	t.Helper()
	l := &locker{t: t, cmd: exec.Command("/proc/self/exe"), done: make(chan error, 1)}
	l.cmd.Env = append(append(os.Environ(), helperName+"="+name), vars...)
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
	l.cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uid, Gid: uid}, AmbientCaps: []uintptr{unix.CAP_NET_RAW},
	}
	var err error
	l.stdin, err = l.cmd.StdinPipe()
	must(t, err)
	must(t, ns.Do(l.cmd.Start))
	go func() { l.done <- l.cmd.Wait() }()
	t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	return l
}

func (l *locker) wait(words string) {
	l.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if strings.Contains(l.out.String(), words) {
			return
		}
	}
	l.t.Fatalf("no %q in: %s", words, &l.out)
}

func (l *locker) stop() { _ = l.stdin.Close() }

// refused waits for the end of a process that must not get the lock.
func (l *locker) refused(words ...string) {
	l.t.Helper()
	select {
	case err := <-l.done:
		if err == nil || strings.Contains(l.out.String(), held) {
			l.t.Errorf("it has got the lock: %s", &l.out)
		}
	case <-time.After(patience):
		l.t.Fatalf("it does not end: %s", &l.out)
	}
	for _, w := range words {
		if !strings.Contains(l.out.String(), w) {
			l.t.Errorf("no %q in: %s", w, &l.out)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func namespace(t *testing.T) *lab.Namespace {
	t.Helper()
	ns, err := lab.New()
	must(t, err)
	t.Cleanup(ns.Close)
	return ns
}

// squat binds an abstract name as a user without privilege, until the returned
// function is called. With a backlog below 0 it does not listen.
func squat(t *testing.T, ns *lab.Namespace, name string, backlog int) (leave func()) {
	t.Helper()
	var fd int
	must(t, ns.Do(func() error {
		if err := setEffectiveUser(4712); err != nil {
			return err
		}
		var err error
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
		}
		if err == nil && backlog >= 0 {
			err = unix.Listen(fd, backlog)
		}
		return errors.Join(err, setEffectiveUser(0))
	}))
	leave = sync.OnceFunc(func() { _ = unix.Close(fd) })
	t.Cleanup(leave)
	return leave
}

// setEffectiveUser changes the user of this thread alone, which
// syscall.Setresuid does of all threads.
func setEffectiveUser(uid uintptr) error {
	const same = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uid, same); errno != 0 {
		return errno
	}
	return nil
}
