// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// fileRule is a configuration whose rule reads a file of targets.
func fileRule(path string) string {
	return "version: 1\nuplinks: [{interface: uplink}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: file, targets: " + path + "}]\n"
}

// replaceFile puts a file into its place whole.
func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	harness.Must(t, os.WriteFile(path+".new", []byte(content), 0o644))
	harness.Must(t, os.Rename(path+".new", path))
}

// appendTo writes to the end of a file.
func appendTo(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	harness.Must(t, err)
	defer f.Close()
	_, err = f.WriteString(content)
	harness.Must(t, err)
}

// TestFile follows a file of targets through what panels and scripts do to it, and
// asks from the router's end.
func TestFile(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	path := filepath.Join(t.TempDir(), "panel", "targets")
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t, fileRule(path)))
	a := newAsker(t, n)
	one, two, three := conformance.Pod, addr("2001:db8:1:0:f::6"), addr("2001:db8:1:0:f::7")

	// while asks for a target that stays listed, and wants no solicitation to have met
	// a table without it.
	while := func(f func()) {
		t.Helper()
		unlisted := func() uint64 { return d.Status().Uplinks[0].Ignored["not_listed"] }
		before := unlisted()
		if got := a.While(one, f); got.Asked == 0 || unlisted() != before {
			t.Errorf("of %d solicitations %d found the target not listed", got.Asked, unlisted()-before)
		}
	}

	t.Log("there is no file, and no directory")
	a.WantSilence(one)
	d.Wait("a file that cannot be read", func(s status.Status) bool { return len(s.Files) == 1 && !s.Files[0].Readable })

	t.Log("it comes, with Windows' line breaks, and is announced")
	harness.Must(t, os.Mkdir(filepath.Dir(path), 0o755))
	replaceFile(t, path, "\ufeff# made by a panel\r\n"+one.String()+"\r\n")
	if a.Hear(one, harness.Patience) == nil {
		t.Error("not announced")
	}
	a.WantAnswer(one)
	a.WantSilence(two)

	t.Log("a line more, in two writes")
	appendTo(t, path, "2001:db8:1:0:f:")
	time.Sleep(200 * time.Millisecond)
	appendTo(t, path, ":6 # vm2\n")
	harness.Eventually(t, "the second target", func() bool { return a.Ask(two, time.Second) != nil })

	t.Log("replaced again and again, it never leaves out who stays")
	while(func() {
		for i := range 20 {
			replaceFile(t, path, fmt.Sprintf("%s\n2001:db8:1:0:f::%x\n", one, 0x100+i))
			time.Sleep(20 * time.Millisecond)
		}
	})
	harness.Eventually(t, "silence for who went", func() bool { return a.Ask(two, 100*time.Millisecond) == nil })

	t.Log("a wrong line keeps the others, and is told of")
	replaceFile(t, path, one.String()+"\n2001:db8:1:0:f::/6\nnonsense\n2001:db8:1::7\n"+three.String()+"\n")
	harness.Eventually(t, "the third target", func() bool { return a.Ask(three, time.Second) != nil })
	a.WantSilence(addr("2001:db8:1:0:f::8"))
	d.Wait("faults", func(s status.Status) bool { return s.Files[0].Faults == 3 && s.Files[0].Targets == 2 })
	_, scrape := d.Get("/metrics")
	if v := metric(t, scrape, `ndproxyd_target_file_faults{file="`+path+`"}`); v != 3 {
		t.Errorf("the metric has %g faults", v)
	}
	harness.Eventually(t, "the log", func() bool { return strings.Contains(d.Log(), path+":2: ") })

	t.Log("written in place, from the beginning")
	while(func() {
		f, err := os.Create(path)
		harness.Must(t, err)
		defer f.Close()
		time.Sleep(time.Second)
		_, err = f.WriteString(one.String() + "\n")
		harness.Must(t, err)
	})

	t.Log("deleted and made again")
	while(func() {
		harness.Must(t, os.Remove(path))
		time.Sleep(time.Second)
		replaceFile(t, path, one.String()+"\n")
		time.Sleep(100 * time.Millisecond)
	})
}

// TestFileOfAnotherUser runs the daemon without root, as the packages do, on a file that
// it may not read at first, behind links as in a Kubernetes ConfigMap.
func TestFileOfAnotherUser(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	dir := filepath.Dir(harness.PublicConfig(t, ""))
	version := func(name, content string, mode os.FileMode) {
		harness.Must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		harness.Must(t, os.WriteFile(filepath.Join(dir, name, "targets"), []byte(content), mode))
	}
	one, two := conformance.Pod, addr("2001:db8:1:0:f::6")
	version("..1", one.String(), 0o600)
	version("..2", two.String(), 0o644)
	harness.Must(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	path := filepath.Join(dir, "targets")
	harness.Must(t, os.Symlink("..data/targets", path))
	d := harness.StartAs(t, n.Node, 65534, []uintptr{unix.CAP_NET_RAW}, harness.Binary(t), "run", "--config", harness.PublicConfig(t, fileRule(path)))
	d.WaitReady()
	a := newAsker(t, n)
	a.WantSilence(one)
	if e := d.Explain(one).Answers[0]; e.Reason != "not_listed" || !strings.Contains(e.Why, path+": permission denied") {
		t.Errorf("explain says %s: %s", e.Reason, e.Why)
	}
	harness.Must(t, os.Chmod(filepath.Join(dir, "..1", "targets"), 0o644))
	a.WantAnswer(one)
	harness.Must(t, os.Symlink("..2", filepath.Join(dir, "..new")))
	harness.Must(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	a.WantAnswer(two)
	a.WantSilence(one)
	if e := d.Explain(one).Answers[0]; e.Why != path+" does not list the address" {
		t.Errorf("explain says %s: %s", e.Reason, e.Why)
	}
}

// TestLargeFile answers for the last of many targets, and for one that comes to them.
func TestLargeFile(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	path := filepath.Join(t.TempDir(), "targets")
	const many = 100_000
	var b strings.Builder
	for i := range many {
		fmt.Fprintf(&b, "2001:db8:1:0:f::%x:%x\n", i>>16, i&0xffff)
	}
	replaceFile(t, path, b.String())
	d := harness.Start(t, n.Node, "--config", harness.WriteConfig(t, fileRule(path)))
	harness.Within(t, 10*time.Minute, "whole file", func() bool {
		s, err := d.Client.Status(t.Context())
		return err == nil && s.Ready
	})
	a := newAsker(t, n)
	a.WantAnswer(addr("2001:db8:1:0:f::1:869f"))
	more := addr("2001:db8:1:0:f::2:0")
	a.WantSilence(more)
	appendTo(t, path, more.String()+"\n")
	harness.Within(t, 10*time.Minute, "the target that came", func() bool { return a.Ask(more, harness.Quiet) != nil })
	d.Wait("all targets", func(s status.Status) bool { return s.Files[0].Targets == many+1 && s.Files[0].Faults == 0 })
	t.Logf("%d MiB resident", d.Resident()>>10)
}
