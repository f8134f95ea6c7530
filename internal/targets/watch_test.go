// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// must ends the test after an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience bounds the wait for an event that has to come.
const patience = time.Minute

// TestWatches does to a file what its writers do, and wants to hear of each.
func TestWatches(t *testing.T) {
	t.Parallel()
	write := func(name, content string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
		}
	}
	link := func(to, name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.Symlink(to, filepath.Join(dir, name))) }
	}
	mkdir := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.MkdirAll(filepath.Join(dir, name), 0o755)) }
	}
	rename := func(from, to string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))) }
	}
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, name))) }
	}
	appendTo := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString("x\n")
			must(t, err)
			must(t, f.Close())
		}
	}
	type steps []func(t *testing.T, dir string)
	tests := []struct {
		name   string
		before steps
		change func(t *testing.T, dir string)
		last   writing // what the last event tells that tells something
	}{
		{"written", steps{mkdir("d"), write("d/targets", "x")}, write("d/targets", "y"), closed},
		{"appended", steps{mkdir("d"), write("d/targets", "x")}, appendTo("d/targets"), closed},
		{"renamed", steps{mkdir("d"), write("d/targets", "x"), write("d/new", "y")}, rename("d/new", "d/targets"), renamed},
		{"deleted", steps{mkdir("d"), write("d/targets", "x")}, remove("d/targets"), unknown},
		{"made", steps{mkdir("d")}, write("d/targets", "x"), closed},
		{"its directory is made", nil, mkdir("d"), closed},
		{"its directory is renamed", steps{mkdir("e"), write("e/targets", "x")}, rename("e", "d"), renamed},
		{"its directory goes", steps{mkdir("d"), write("d/targets", "x")}, remove("d"), unknown},
		{"a ConfigMap", steps{mkdir("d/..1"), mkdir("d/..2"), write("d/..1/targets", "x"), write("d/..2/targets", "y"), link("..1", "d/..data"), link("..data/targets", "d/targets"), link("..2", "d/..new")}, rename("d/..new", "d/..data"), renamed},
		{"behind a symbolic link", steps{mkdir("d"), mkdir("e"), write("e/real", "x"), link("../e/real", "d/targets")}, appendTo("e/real"), closed},
		{"behind a link to a directory", steps{mkdir("e"), write("e/targets", "x"), link("e", "d")}, appendTo("d/targets"), closed},
		{"a dangling link", steps{mkdir("d"), mkdir("e"), link("../e/real", "d/targets")}, write("e/real", "x"), closed},
		{"by another name", steps{mkdir("d"), write("other", "x"), func(t *testing.T, dir string) {
			must(t, os.Link(filepath.Join(dir, "other"), filepath.Join(dir, "d/targets")))
		}}, appendTo("other"), closed},
		{"readable", steps{mkdir("d"), write("d/targets", "x")}, func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, "d/targets"), 0o600)) }, unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, err := filepath.EvalSymlinks(t.TempDir())
			must(t, err)
			for _, step := range tt.before {
				step(t, dir)
			}
			events := make(chan writing, 100)
			path := filepath.Join(dir, "d", "targets")
			w := newWatches(func(p string, w writing) {
				if p == path {
					events <- w
				}
			})
			must(t, w.follow(path))
			ended := make(chan error, 1)
			go func() { ended <- w.run(t.Context()) }()
			tt.change(t, dir)
			select {
			case got := <-events:
				for got != tt.last {
					select {
					case got = <-events:
					case <-time.After(patience):
						t.Fatalf("the last event is %d, want %d", got, tt.last)
					}
				}
			case err := <-ended:
				t.Fatal(err)
			case <-time.After(patience):
				t.Fatal("no event")
			}
		})
	}
}

// TestWatchesEnd gives back watches that no file needs.
func TestWatchesEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWatches(func(string, writing) {})
	one, two := filepath.Join(dir, "a", "one"), filepath.Join(dir, "b", "two")
	must(t, os.Mkdir(filepath.Dir(one), 0o755))
	must(t, os.Mkdir(filepath.Dir(two), 0o755))
	must(t, w.follow(one))
	alone := len(w.open)
	must(t, w.follow(two))
	if len(w.open) != alone+1 {
		t.Errorf("%d watches for two files, %d for one", len(w.open), alone)
	}
	w.drop(two)
	must(t, w.follow(one))
	if len(w.open) != alone {
		t.Errorf("%d watches after one has gone", len(w.open))
	}
	if w.drop(one); len(w.open) != 0 || len(w.paths) != 0 {
		t.Errorf("%d watches after all have gone", len(w.open))
	}
	must(t, w.queue.Close())
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "real", "file"), nil, 0o644))
	for name, to := range map[string]string{"rel": "real/../real", "abs": filepath.Join(dir, "real"), "loop": "loop", "gone": "nowhere/file"} {
		must(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	for path, want := range map[string]string{
		"real/file":    "/real /real/file /real/file:",
		"rel/file":     "/rel /real /real /real/file /real/file:",
		"abs/file":     "/abs /real /real/file /real/file:",
		"gone":         "/gone /nowhere",
		"missing/file": "/missing",
	} {
		var got []string
		for _, p := range places(filepath.Join(dir, path)) {
			name := filepath.Join(p.directory, p.name)
			if p.name == "" {
				name = p.directory + ":"
			}
			if rest, inside := strings.CutPrefix(name, dir+"/"); inside {
				got = append(got, "/"+rest)
			}
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := places(filepath.Join(dir, "loop")); len(got) > 2*maxLinks {
		t.Errorf("%d places of a link to itself", len(got))
	}
}
