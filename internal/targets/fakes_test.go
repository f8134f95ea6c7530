// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// fakeDisk has files in memory. It is a source and a watcher.
type fakeDisk struct {
	follower *Follower

	mu      sync.Mutex
	files   map[string]string
	changes int
	stamps  map[string]stamp
	errs    map[string]error
	reads   int
	watched map[string]bool
	refuses error         // of follow
	hangs   chan struct{} // reads of /hung wait for it
}

func (d *fakeDisk) stat(path string) (stamp, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.files[path]; !there && d.errs[path] == nil {
		return stamp{}, fs.ErrNotExist
	}
	return d.stamps[path], d.errs[path]
}

func (d *fakeDisk) read(path string) (content, error) {
	if path == "/hung" {
		<-d.hangs
	}
	s, err := d.stat(path)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reads++; err != nil {
		return content{}, err
	}
	r, err := Parse(strings.NewReader(d.files[path]))
	return content{Reading: r, stamp: s}, err
}

func (d *fakeDisk) run(ctx context.Context) error { <-ctx.Done(); return nil }

func (d *fakeDisk) follow(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watched[path] = true
	return d.refuses
}

func (d *fakeDisk) drop(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.watched, path)
}

// readings returns how often files were read.
func (d *fakeDisk) readings() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reads
}

// fail makes a file one that cannot be read, or one that can where err is nil.
func (d *fakeDisk) fail(path string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.errs[path] = err; err == nil {
		delete(d.errs, path)
	}
}

// watches reports whether a file is watched.
func (d *fakeDisk) watches(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watched[path]
}

// put writes a file; "" deletes it. Without a word nobody tells.
func (d *fakeDisk) put(path, content string, told bool, w writing) {
	d.mu.Lock()
	d.changes++
	d.stamps[path] = stamp{inode: uint64(d.changes), modified: time.Now()}
	if d.files[path] = content; content == "" {
		delete(d.files, path)
	}
	d.mu.Unlock()
	if told {
		d.follower.fileChanged(path, w)
	}
}

// bench is a follower on a fake disk, in a bubble.
type bench struct {
	*fakeDisk
	t     *testing.T
	store *rules.Store
	log   diary
}

// diary is a log that may be read while it is written.
type diary struct {
	mu sync.Mutex
	b  strings.Builder
}

func (d *diary) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.Write(b)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Clone(d.b.String())
}

// with runs a test in a bubble.
func with(t *testing.T, test func(b *bench)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, store: new(rules.Store), fakeDisk: &fakeDisk{
			files: make(map[string]string), stamps: make(map[string]stamp), errs: make(map[string]error), watched: make(map[string]bool), hangs: make(chan struct{}),
		}}
		b.follower = &Follower{
			options: Options{Store: b.store, Log: slog.New(slog.NewTextHandler(&b.log, nil)), Observe: func(time.Duration) {}},
			source:  b.fakeDisk, watcher: b.fakeDisk, entries: entries{store: b.store, files: make(map[string]list)},
			changed: make(chan struct{}, 1), files: make(map[string]*followed),
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.follower.Run(ctx) }()
		test(b)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// rules puts rules in force: a prefix and a file each.
func (b *bench) rules(words ...string) []rules.Rule {
	b.t.Helper()
	var rs []rules.Rule
	for _, w := range words {
		prefix, path, _ := strings.Cut(w, "=")
		rs = append(rs, rules.Rule{Prefix: netip.MustParsePrefix(prefix), Method: rules.File, Targets: path})
	}
	must(b.t, b.store.SetRules(rs))
	b.follower.SetRules(rs)
	return rs
}

// want waits, and wants some addresses to be answered for and no others. The
// addresses are 2001:db8:N::N for each letter.
func (b *bench) want(after time.Duration, want string) {
	b.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	got := ""
	for _, c := range "abcdef" {
		if v := b.store.Load().View("").Find(netip.MustParseAddr(fmt.Sprintf("2001:db8::%c", c))); v != nil && v.Answer {
			got += string(c)
		}
	}
	if got != want {
		b.t.Errorf("%q is answered for, want %q", got, want)
	}
}

// letters makes the content of a file.
func letters(s string) string {
	var out strings.Builder
	for _, c := range s {
		fmt.Fprintf(&out, "2001:db8::%c\n", c)
	}
	return out.String()
}

// logged returns the log so far.
func (b *bench) logged() string {
	synctest.Wait()
	return b.log.String()
}
