// SPDX-License-Identifier: Apache-2.0

//go:build full

package release

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

const root = "../../"

// run runs a program in the project's folder and returns what it prints.
func run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := try(env, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// try returns what a program prints, or, where it fails, what it complains of.
func try(env []string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	var complaints strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = root, append(os.Environ(), env...), &complaints
	out, err := cmd.Output()
	if err != nil {
		return string(out) + complaints.String(), err
	}
	return string(out), nil
}

// glob returns the one file of a pattern in dist.
func glob(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(root + "dist/" + pattern)
	harness.Must(t, err)
	if len(found) != 1 {
		t.Fatalf("%d files of %s", len(found), pattern)
	}
	return found[0]
}

// version is that of the release, as its chart is called.
func version(t *testing.T) string {
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(glob(t, "ndproxyd-*.tgz")), "ndproxyd-"), ".tgz")
}

// TestReproducible builds the release once more.
func TestReproducible(t *testing.T) {
	t.Parallel()
	again := filepath.Join(t.TempDir(), "dist")
	run(t, []string{"DIST=" + again}, "deploy/release.sh", version(t), "amd64 arm64", "packages", "image", "chart", "archives")
	want, err := os.ReadFile(root + "dist/SHA256SUMS")
	harness.Must(t, err)
	got, err := os.ReadFile(again + "/SHA256SUMS")
	harness.Must(t, err)
	if string(got) != string(want) {
		t.Errorf("another build of the same commit is\n%s\nand not\n%s", got, want)
	}
}

// TestChecksums wants each file, and each of them intact.
func TestChecksums(t *testing.T) {
	sums, err := os.ReadFile(root + "dist/SHA256SUMS")
	harness.Must(t, err)
	for _, wanted := range []string{
		"_amd64.deb", "_arm64.deb", "_all.deb", ".x86_64.rpm", ".aarch64.rpm", ".noarch.rpm",
		"_x86_64.apk", "_aarch64.apk", "-x86_64.pkg.tar.zst", "-aarch64.pkg.tar.zst", "_image.tar", "_manifests.yaml",
		"_linux_amd64.tar.gz", "_linux_arm64.tar.gz", "_amd64.cdx.json", "_arm64.cdx.json", ".tgz",
	} {
		if !strings.Contains(string(sums), wanted+"\n") {
			t.Errorf("no %s in the release", wanted)
		}
	}
	cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = root + "dist"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestPrograms wants static programs for their machines, which know their version.
func TestPrograms(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		f, err := elf.Open(root + "dist/linux-" + arch + "/ndproxyd")
		harness.Must(t, err)
		if f.Machine != machine {
			t.Errorf("%s is for %s", arch, f.Machine)
		}
		if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("%s is not static", arch)
		}
		harness.Must(t, f.Close())
		if sbom, err := os.ReadFile(root + "dist/ndproxyd_linux_" + arch + ".cdx.json"); err != nil || !strings.Contains(string(sbom), "pkg:golang/github.com/mdlayher/packet@") {
			t.Errorf("the bill of materials for %s does not name what is in it: %v", arch, err)
		}
	}
	revision := strings.TrimSpace(run(t, nil, "git", "rev-parse", "HEAD"))
	if out := run(t, nil, "dist/linux-amd64/ndproxyd", "version"); !strings.Contains(out, "ndproxyd "+version(t)+" (revision "+revision) {
		t.Errorf("the version is %s", out)
	}
}

// TestPackages looks at what the packages say of themselves.
func TestPackages(t *testing.T) {
	for pattern, wanted := range map[string][]string{
		"ndproxyd_*_amd64.deb":     {"Package: ndproxyd\n", "Architecture: amd64\n", "Depends: procps\n"},
		"ndproxyd_*_arm64.deb":     {"Architecture: arm64\n"},
		"ndproxyd-ndppd_*_all.deb": {"Conflicts: ndppd\n", "Replaces: ndppd\n", "Provides: ndppd\n", "Depends: ndproxyd (>= "},
	} {
		out := run(t, nil, "dpkg-deb", "--field", strings.TrimPrefix(glob(t, pattern), root)) + "\n"
		for _, w := range wanted {
			if !strings.Contains(out, w) {
				t.Errorf("%s has no %q: %s", pattern, w, out)
			}
		}
	}
	for _, pattern := range []string{"ndproxyd-[0-9]*.x86_64.rpm", "ndproxyd-[0-9]*.aarch64.rpm", "ndproxyd-ndppd-*.noarch.rpm"} {
		path := strings.TrimPrefix(glob(t, pattern), root)
		if out := run(t, nil, "rpm", "-K", "--nosignature", path); !strings.Contains(out, "digests OK") {
			t.Errorf("%s: %s", pattern, out)
		}
	}
	path := strings.TrimPrefix(glob(t, "ndproxyd-[0-9]*.x86_64.rpm"), root)
	files := run(t, nil, "rpm", "-qlp", path)
	for _, f := range []string{"/usr/bin/ndproxyd", "/usr/lib/systemd/system/ndproxyd.service", "/etc/ndproxyd/config.yaml", "/usr/share/man/man8/ndproxyd.8.gz", "/usr/share/man/man5/ndproxyd.yaml.5.gz"} {
		if !strings.Contains(files, f+"\n") {
			t.Errorf("the rpm has no %s: %s", f, files)
		}
	}
	if out := run(t, nil, "rpm", "-qcp", path); strings.TrimSpace(out) != "/etc/ndproxyd/config.yaml" {
		t.Errorf("configuration files of the rpm: %s", out)
	}
	if out := run(t, nil, "rpm", "-qp", "--conflicts", "--obsoletes", "--provides", strings.TrimPrefix(glob(t, "ndproxyd-ndppd-*.noarch.rpm"), root)); strings.Count(out, "ndppd\n") < 3 {
		t.Errorf("the rpm that takes ndppd's place says %s", out)
	}
}
