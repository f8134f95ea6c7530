// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// builds holds one build of each kind in a process.
var builds = map[bool]func() (string, error){
	false: sync.OnceValues(func() (string, error) { return build(false) }),
	true:  sync.OnceValues(func() (string, error) { return build(true) }),
}

// Binary returns the path of the daemon's program, built with the race detector
// if the tests are.
func Binary(tb testing.TB) string { return binary(tb, raceDetector) }

// PlainBinary returns the path of the daemon's program as it is shipped, for
// tests that measure.
func PlainBinary(tb testing.TB) string { return binary(tb, false) }

func binary(tb testing.TB, race bool) string {
	tb.Helper()
	path, err := builds[race]()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// build compiles the daemon to a file of its own for each source tree. Every test
// package of a run does that, one after the other: the first one links, and the go
// command finds the program up to date for the others.
func build(race bool) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	_, here, _, _ := runtime.Caller(0)
	tree := filepath.Dir(here)
	dir := filepath.Join(cache, "ndproxyd-test", fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(tree))))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path, args := filepath.Join(dir, "ndproxyd"), []string{"build"}
	env := os.Environ()
	if race {
		path, args = path+"-race", append(args, "-race")
	} else {
		args, env = append(args, "-trimpath", "-ldflags", "-s -w"), append(env, "CGO_ENABLED=0")
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	cmd := exec.Command("go", append(args, "-o", path, "github.com/ndproxyd/ndproxyd/cmd/ndproxyd")...)
	cmd.Env = env
	cmd.Dir = tree // tests of other modules build the daemon, too
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build daemon: %w\n%s", err, out)
	}
	return path, nil
}
