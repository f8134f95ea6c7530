// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// trim gives memory back that was needed to start, and not after that: garbage,
// and the pages of the program itself. Most of that was read once, by the
// initialization of packages and the runtime's checks, and the kernel maps 15
// pages beside each that is touched. What runs comes back from the page cache.
func trim() error {
	debug.FreeOSMemory()
	if plain, err := isPlain(); err != nil || !plain {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("trim memory: %w", err)
	}
	defer maps.Close() //nolint:errcheck // it was read
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("trim memory: %w", err)
	}
	for s := bufio.NewScanner(maps); s.Scan(); {
		var from, to uintptr
		var mode string
		fields := strings.Fields(s.Text())
		if len(fields) < 6 || fields[5] != exe || strings.Contains(fields[1], "w") {
			continue
		}
		if _, err := fmt.Sscanf(fields[0]+" "+fields[1], "%x-%x %s", &from, &to, &mode); err != nil {
			return fmt.Errorf("trim memory: %w", err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("trim memory: %w", errno)
		}
	}
	return nil
}

// isPlain reports whether the program is at the addresses that it was linked for,
// so that no page of it that cannot be written now was written before.
func isPlain() (bool, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return false, fmt.Errorf("trim memory: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was read
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false, nil
		}
	}
	return f.Type == elf.ET_EXEC, nil
}
