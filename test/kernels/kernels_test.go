// SPDX-License-Identifier: Apache-2.0

//go:build full

package kernels

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// cache is where the Makefile puts kernels, see fetch.sh.
const cache = "../../.cache/kernels"

// machine is how qemu emulates a computer of an architecture.
type machine struct {
	emulator string
	args     []string
	console  string // the kernel's name of the serial port
}

var machines = map[string]machine{
	"amd64": {"qemu-system-x86_64", []string{"-M", "q35", "-cpu", "max"}, "ttyS0"},
	"arm64": {"qemu-system-aarch64", []string{"-M", "virt", "-cpu", "cortex-a72"}, "ttyAMA0"},
	// Not with Linux 6.12: under qemu 7.2 it refuses every ICMPv6 message, those of another
	// namespace of its own as well, for its checksum, and 6.1 does not.
	"s390x": {"qemu-system-s390x", []string{"-M", "s390-ccw-virtio", "-cpu", "max"}, "ttysclp0"},
}

// ways are what answers with each setting.
type ways struct{ auto, tc, xdp, generic string }

var (
	socket = ways{"packet-socket", "packet-socket", "packet-socket", "packet-socket"}
	clsact = ways{"clsact", "clsact", "xdp native", "xdp generic"}
	tcx    = ways{"tcx", "tcx", "xdp native", "xdp generic"}
)

// suite is a package whose tests run in a kernel, and which of them.
type suite struct{ folder, tests string }

// TestKernels runs tests of the program as the first process of kernels.
func TestKernels(t *testing.T) {
	for _, c := range []struct {
		name   string
		kernel string // suite of Debian, series, architecture
		want   ways
	}{
		{"too old", "bullseye/5.10/amd64", socket},
		{"before tcx", "bookworm/6.1/amd64", clsact},
		{"with tcx", "trixie/6.12/amd64", tcx},
		{"the newest that Debian has", "trixie-backports/7/amd64", tcx},
		{"another processor", "trixie/6.12/arm64", tcx},
		{"big-endian", "bookworm/6.1/s390x", clsact},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(cache, c.kernel)
			release, err := os.ReadFile(filepath.Join(folder, "release"))
			harness.Must(t, err)
			if series := strings.Split(c.kernel, "/")[1]; !strings.HasPrefix(string(release), series+".") {
				t.Fatalf("%s has Linux %s", folder, release)
			}
			suites := []suite{{".", "^(TestWays|TestOutlives)$"}}
			if c.want != socket {
				suites = append(suites, suite{"../conformance", "^TestProgram$"}, suite{"../../internal/fastpath", "^TestLeastPrivilege$"})
			}
			console := boot(t, folder, filepath.Base(c.kernel), suites)
			t.Log(console)
			for _, want := range []string{
				fact + "Linux " + strings.TrimSpace(string(release)),
				fact + "fast_path: auto is " + c.want.auto,
				fact + "fast_path: tc is " + c.want.tc,
				fact + "fast_path: xdp is " + c.want.xdp,
				fact + "fast_path: xdp-generic is " + c.want.generic,
				verdict + "<nil>",
			} {
				if !strings.Contains(console, "\n"+want) {
					t.Errorf("no line %q on the console", want)
				}
			}
		})
	}
}

// boot starts a kernel whose first process runs the suites, and returns what it wrote to its
// console until its end.
func boot(t *testing.T, folder, arch string, suites []suite) string {
	t.Helper()
	m, dir, files := machines[arch], t.TempDir(), make(map[string]string)
	for _, s := range suites {
		absolute, err := filepath.Abs(s.folder)
		harness.Must(t, err)
		name := filepath.Base(absolute)
		build := exec.Command("go", "test", "-c", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), s.folder)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s for %s: %v\n%s", s.folder, arch, err, out)
		}
		harness.Must(t, os.WriteFile(filepath.Join(dir, name+".run"), []byte(s.tests), 0o600))
		files["tests/"+name], files["tests/"+name+".run"] = filepath.Join(dir, name), filepath.Join(dir, name+".run")
	}
	files["init"] = files["tests/kernels"]
	modules, err := filepath.Glob(filepath.Join(folder, "modules", "*.ko"))
	harness.Must(t, err)
	for _, path := range modules {
		files["modules/"+filepath.Base(path)] = path
	}
	archive, err := newInitramfs([]string{"tests", "modules"}, files)
	harness.Must(t, err)
	harness.Must(t, os.WriteFile(filepath.Join(dir, "initramfs"), archive, 0o600))

	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	qemu := exec.CommandContext(ctx, m.emulator, append(m.args, "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none",
		"-serial", "stdio", "-no-reboot", "-kernel", filepath.Join(folder, "vmlinuz"), "-initrd", filepath.Join(dir, "initramfs"),
		"-append", "console="+m.console+" panic=-1 quiet -- -test.v -test.timeout=4m")...)
	var console bytes.Buffer
	qemu.Stdout, qemu.Stderr = &console, &console
	began := time.Now()
	if err := qemu.Run(); err != nil {
		t.Errorf("run %s: %v", m.emulator, err)
	}
	t.Logf("ran for %s", time.Since(began).Round(time.Second))
	return console.String()
}
