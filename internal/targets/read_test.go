// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestRead reads what is a file, and refuses at once what is none.
func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("file"), []byte("2001:db8::5\n"), 0o644))
	must(t, os.WriteFile(at("binary"), []byte("\x7fELF\x00"), 0o644))
	must(t, os.Symlink("file", at("link")))
	must(t, os.Symlink("loop", at("loop")))
	must(t, syscall.Mkfifo(at("pipe"), 0o644))
	for path, want := range map[string]string{
		at("file"): "", at("link"): "", at("missing"): "no such file", at("file/x"): "not a directory", at("loop"): "too many levels of symbolic links",
		dir: "it is a directory: name a file in it", at("pipe"): "it is not a regular file", "/dev/zero": "it is not a regular file",
		at("binary"): "is not a text file: it has NUL octets",
	} {
		c, err := disk{}.read(path)
		switch {
		case want == "" && (err != nil || len(c.targets) != 1 || c.torn):
			t.Errorf("%s: %v, %+v", path, err, c)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)):
			t.Errorf("%s: error is %v, want %q", path, err, want)
		case want != "" && remedy(path, err) == "":
			t.Errorf("%s: no remedy", path)
		}
	}
}

// TestHidden tells what the sandbox of the packages does not let through.
func TestHidden(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ndproxyd-test") // every user may enter what it is in
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, mode := range map[string]os.FileMode{"open": 0o755, "closed": 0o750} {
		must(t, os.Mkdir(at(name), 0o700))
		must(t, os.Chmod(at(name), mode))
	}
	for name, mode := range map[string]os.FileMode{"open/file": 0o644, "open/secret": 0o640, "closed/file": 0o644} {
		must(t, os.WriteFile(at(name), nil, 0o600))
		must(t, os.Chmod(at(name), mode))
	}
	must(t, os.Symlink("../closed/file", at("open/link")))
	if !slices.Contains(hiddenTrees(), "/home") {
		t.Error("home directories are not hidden")
	}
	trees := []string{"/nonexistent", at("tree")}
	for path, want := range map[string]string{
		at("open/file"): "", at("open/missing"): "", at("open/secret"): "open/secret may not be read by everybody",
		at("closed/file"): "closed may not be entered by everybody", at("open/link"): "closed may not be entered by everybody",
		at("tree/x"): "tree, which its sandbox hides", at("trees"): "", "/nonexistent": "which its sandbox hides",
	} {
		if got := hidden(path, trees); (got == "") != (want == "") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestCheck looks at files once.
func TestCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "targets")
	must(t, os.WriteFile(path, []byte("2001:db8::5\nx\n2001:db8::6"), 0o644))
	rule := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.File, Targets: path}
	missing := rule
	missing.Targets = path + "x"
	files := Check([]rules.Rule{rule, rule, missing, {Prefix: rule.Prefix, Method: rules.Static}})
	if len(files) != 2 || files[0].Path != path || files[0].Targets != 2 || files[0].Wrong != 1 || files[0].Err != nil || files[1].Err == nil {
		t.Errorf("got %+v", files)
	}
}
