// SPDX-License-Identifier: Apache-2.0

//go:build full

package release

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestAlias wants the package in ndppd's place to give ndppd's names to ndproxyd.
func TestAlias(t *testing.T) {
	t.Parallel()
	deb := run(t, nil, "dpkg-deb", "--contents", strings.TrimPrefix(glob(t, "ndproxyd-ndppd_*_all.deb"), root))
	rpm := run(t, nil, "rpm", "-qlvp", strings.TrimPrefix(glob(t, "ndproxyd-ndppd-*.noarch.rpm"), root))
	for _, want := range []string{"/usr/lib/systemd/system/ndppd.service -> ndproxyd.service", "/usr/sbin/ndppd -> /usr/bin/ndproxyd"} {
		if !strings.Contains(deb, want) || !strings.Contains(rpm, want) {
			t.Errorf("no %q in %s or %s", want, deb, rpm)
		}
	}
}

// packed returns the files of a tar with their modes, and the text of the small ones.
func packed(t *testing.T, r io.Reader) (modes map[string]int64, texts map[string]string) {
	t.Helper()
	modes, texts = make(map[string]int64), make(map[string]string)
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return modes, texts
		}
		harness.Must(t, err)
		name := path.Clean("/" + h.Name)
		modes[name] = h.Mode & 0o777
		if h.Size < 100_000 {
			b, err := io.ReadAll(archive)
			harness.Must(t, err)
			texts[name] = string(b)
		}
	}
}

// wantFiles wants files with their modes, and others to be missing.
func wantFiles(t *testing.T, modes map[string]int64, want map[string]int64, none ...string) {
	t.Helper()
	for name, mode := range want {
		if got, ok := modes[name]; !ok || got != mode {
			t.Errorf("%s is there %t, with mode %o", name, ok, got)
		}
	}
	for _, name := range none {
		if _, ok := modes[name]; ok {
			t.Errorf("%s is there", name)
		}
	}
}

const (
	unit     = "/usr/lib/systemd/system/ndproxyd.service"
	fastPath = "/usr/share/ndproxyd/fast-path.conf"
	detach   = "ndproxyd detach --all-namespaces"
)

// TestAlpine looks into the apk.
func TestAlpine(t *testing.T) {
	t.Parallel()
	for pattern, arch := range map[string]string{"ndproxyd_*_x86_64.apk": "x86_64", "ndproxyd_*_aarch64.apk": "aarch64"} {
		f, err := os.Open(glob(t, pattern))
		harness.Must(t, err)
		defer f.Close()
		z, err := gzip.NewReader(f)
		harness.Must(t, err)
		modes, texts := packed(t, z)
		wantFiles(t, modes, map[string]int64{
			"/usr/bin/ndproxyd": 0o755, "/etc/init.d/ndproxyd": 0o755, "/etc/conf.d/ndproxyd": 0o644, "/etc/ndproxyd/config.yaml": 0o644,
			"/usr/share/man/man8/ndproxyd.8.gz": 0o644, "/usr/share/doc/ndproxyd/copyright": 0o644,
		}, unit, fastPath)
		info := texts["/.PKGINFO"]
		if !strings.Contains(info, "arch = "+arch+"\n") || strings.Contains(info, "~") {
			t.Errorf("%s says %s", pattern, info)
		}
		if !strings.Contains(texts["/.pre-install"], "adduser") {
			t.Errorf("%s makes no user", pattern)
		}
		if !strings.Contains(texts["/.pre-deinstall"], detach) || strings.Contains(texts["/.pre-upgrade"]+texts["/.post-upgrade"], detach) {
			t.Errorf("%s does not end with a removal, and with nothing else, what answers in the kernel", pattern)
		}
		if !strings.HasPrefix(texts["/etc/init.d/ndproxyd"], "#!/sbin/openrc-run\n") {
			t.Errorf("%s has no script for OpenRC", pattern)
		}
	}
}

// TestArch looks into the package for Arch Linux.
func TestArch(t *testing.T) {
	t.Parallel()
	for pattern, arch := range map[string]string{"ndproxyd-*-x86_64.pkg.tar.zst": "x86_64", "ndproxyd-*-aarch64.pkg.tar.zst": "aarch64"} {
		f, err := os.Open(glob(t, pattern))
		harness.Must(t, err)
		defer f.Close()
		z, err := zstd.NewReader(f)
		harness.Must(t, err)
		defer z.Close()
		modes, texts := packed(t, z)
		wantFiles(t, modes, map[string]int64{"/usr/bin/ndproxyd": 0o755, unit: 0o644, fastPath: 0o644, "/etc/ndproxyd/config.yaml": 0o644, "/usr/share/zsh/site-functions/_ndproxyd": 0o644}, "/etc/init.d/ndproxyd")
		info := texts["/.PKGINFO"]
		for _, want := range []string{"arch = " + arch + "\n", "backup = etc/ndproxyd/config.yaml\n", "depend = procps-ng\n"} {
			if !strings.Contains(info, want) {
				t.Errorf("%s has no %q: %s", pattern, want, info)
			}
		}
		if install := texts["/.INSTALL"]; !strings.Contains(install, "pre_remove() {") || strings.Count(install, detach) != 1 || strings.Contains(install, "_upgrade") {
			t.Errorf("%s does not end with a removal, and with nothing else, what answers in the kernel: %s", pattern, install)
		}
		if strings.Contains(info, "~") {
			t.Errorf("to pacman, the version comes after its release: %s", info)
		}
	}
}
