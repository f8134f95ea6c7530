// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// verdict begins the line by which a test binary that is the first process tells how its
// tests have ended.
const verdict = "kernels: the tests have ended with "

// TestMain runs the tests. As the first process of a kernel it prepares the machine, and runs
// the test binaries in /tests: as processes of their own, because packages that they use
// look at the machine before any test begins. Then it ends the machine.
func TestMain(m *testing.M) {
	if os.Getpid() != 1 {
		os.Exit(m.Run())
	}
	err := errors.Join(mountAll(), loadModules("/modules"))
	if err == nil {
		err = runAll("/tests")
	}
	fmt.Printf("%s%v\n", verdict, err)
	unix.Sync()
	fmt.Println("kernels:", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)) // returns on an error only
	select {}
}

// runAll runs the test binaries of a folder with this process' arguments, each with the
// pattern of its tests that is in a file beside it.
func runAll(folder string) error {
	patterns, err := filepath.Glob(filepath.Join(folder, "*.run"))
	if err != nil {
		return err
	}
	var failed []error
	for _, path := range patterns {
		pattern, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		test := exec.Command(strings.TrimSuffix(path, ".run"), append(os.Args[1:], "-test.run="+string(pattern))...)
		test.Stdout, test.Stderr = os.Stdout, os.Stderr
		if err := test.Run(); err != nil {
			failed = append(failed, fmt.Errorf("run %s: %w", path, err))
		}
	}
	return errors.Join(failed...)
}

// mountAll mounts what the tests and the program use.
func mountAll() error {
	for _, m := range []struct{ kind, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// loadModules loads the modules of a folder, none of which needs another.
func loadModules(folder string) error {
	paths, err := filepath.Glob(filepath.Join(folder, "*.ko"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := loadModule(path); err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.FinitModule(int(f.Fd()), "", 0)
}
