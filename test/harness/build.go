// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
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

// build compiles to a file that the next build of any process replaces, so
// that nothing piles up.
func build(race bool) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	name, args := "ndproxyd", []string{"build"}
	env := os.Environ()
	if race {
		name, args = name+"-race", append(args, "-race")
	} else {
		args, env = append(args, "-trimpath", "-ldflags", "-s -w"), append(env, "CGO_ENABLED=0")
	}
	dir = filepath.Join(dir, "ndproxyd-test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp := filepath.Join(dir, fmt.Sprintf("%s.%d", name, os.Getpid()))
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command("go", append(args, "-o", tmp, "github.com/ndproxyd/ndproxyd/cmd/ndproxyd")...)
	cmd.Env = env
	cmd.Dir = filepath.Dir(here) // tests of other modules build the daemon, too
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build daemon: %w\n%s", err, out)
	}
	path := filepath.Join(dir, name)
	return path, os.Rename(tmp, path)
}
