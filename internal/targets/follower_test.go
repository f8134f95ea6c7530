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

const rule = "2001:db8::/64=/t"

func TestFollower(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		test func(*bench)
	}{
		{"told of changes", func(b *bench) {
			b.put("/t", letters("a"), false, unknown)
			b.rules(rule)
			b.want(0, "a")
			b.put("/t", letters("ab"), true, renamed)
			b.want(debounce, "ab")
			b.put("/t", letters("b"), true, renamed)
			b.want(debounce, "b")
		}},
		{"not told of changes", func(b *bench) {
			b.refuses = fs.ErrPermission
			b.put("/t", letters("a"), false, unknown)
			b.rules(rule)
			b.want(0, "a")
			time.Sleep(time.Minute)
			b.put("/t", letters("b"), false, unknown)
			b.want(poll+holdClosed+2*debounce, "b")
			if n := strings.Count(b.logged(), "can be watched"); n != 1 {
				b.t.Errorf("%d lines about it in the log", n)
			}
		}},
		{"only what may have changed is read", func(b *bench) {
			b.put("/t", letters("a"), false, unknown)
			b.rules(rule)
			b.want(time.Minute, "a")
			before := b.readings()
			b.want(time.Hour, "a")
			if n := b.readings() - before; n != 0 {
				b.t.Errorf("read %d times", n)
			}
		}},
		{"many events", func(b *bench) {
			b.rules(rule)
			b.want(time.Second, "")
			before := b.readings()
			for range 1000 {
				b.put("/t", letters("ab"), true, open)
				time.Sleep(time.Millisecond)
			}
			b.want(debounce, "ab")
			if n := b.readings() - before; n > 25 {
				b.t.Errorf("read %d times in a second", n)
			}
		}},
		{"comes later, goes, and comes back", func(b *bench) {
			b.rules(rule)
			b.want(time.Minute, "")
			b.put("/t", letters("a"), true, closed)
			b.want(debounce, "a")
			b.put("/t", "", true, unknown)
			b.want(holdEmpty-time.Second, "a")
			b.put("/t", letters("b"), true, renamed)
			b.want(debounce, "b")
			b.put("/t", "", true, unknown)
			b.want(holdEmpty+2*debounce, "")
		}},
		{"a last line without line break", func(b *bench) {
			b.rules(rule)
			b.put("/t", letters("a")+"2001:db8::b", true, closed)
			b.want(debounce, "a")
			b.want(holdClosed+2*debounce, "ab")
		}},
		{"rules share a file", func(b *bench) {
			b.put("/t", letters("ab"), false, unknown)
			b.rules("2001:db8::a/128=/t", "2001:db8::b/128=/t")
			b.want(0, "ab")
			if f := b.follower.Files(); len(f) != 1 || f[0].Targets != 2 || f[0].Outside != 0 {
				b.t.Errorf("files are %+v", f)
			}
		}},
		{"files share targets", func(b *bench) {
			b.put("/t", letters("ab"), false, unknown)
			b.put("/u", letters("bc"), false, unknown)
			b.rules("2001:db8::/125=/u", "2001:db8::8/125=/t") // a to f are in the second
			b.want(0, "ab")
			b.put("/t", letters("a"), true, renamed)
			b.want(debounce, "a")
			b.put("/t", letters("abc"), true, renamed)
			b.want(debounce, "abc")
			b.put("/u", letters("a"), true, renamed)
			b.want(debounce, "abc")
			e, _ := b.store.Entry(rules.Listed, netip.MustParseAddr("2001:db8::a"))
			if e.Lists != rules.ListsOf("/t", "/u") {
				b.t.Errorf("the entry is %+v", e)
			}
		}},
		{"another file", func(b *bench) {
			b.put("/t", letters("ab"), false, unknown)
			b.put("/u", letters("bc"), false, unknown)
			b.rules(rule)
			b.want(0, "ab")
			b.rules("2001:db8::/64=/u")
			b.want(0, "bc")
			if b.watches("/t") || b.store.Load().Entries(rules.Listed) != 2 {
				b.t.Error("the file before is still followed")
			}
			b.rules()
			b.want(0, "")
			if b.store.Load().Entries(rules.Listed) != 0 || len(b.follower.Files()) != 0 {
				b.t.Error("a file is still followed")
			}
		}},
		{"another file, read before", func(b *bench) {
			b.put("/t", letters("ab"), false, unknown)
			b.put("/u", letters("bc"), false, unknown)
			b.rules(rule)
			b.want(0, "ab")
			next := []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.File, Targets: "/u"}}
			done := b.follower.Preload(b.t.Context(), next)
			b.follower.SetRules(b.store.Load().Rules()) // something else has changed
			b.want(0, "ab")
			must(b.t, b.store.SetRules(next))
			if v := b.store.Load().View("").Find(netip.MustParseAddr("2001:db8::b")); !v.Answer {
				b.t.Error("a target that both files list is not answered for")
			}
			b.follower.SetRules(next)
			done()
			b.want(0, "bc")
		}},
		{"another file that does not hold after all", func(b *bench) {
			b.put("/t", letters("ab"), false, unknown)
			b.put("/u", letters("bc"), false, unknown)
			b.rules(rule)
			b.follower.Preload(b.t.Context(), []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Method: rules.File, Targets: "/u"}})()
			b.want(0, "ab")
			if b.watches("/u") || len(b.follower.Files()) != 1 {
				b.t.Error("it is still followed")
			}
		}},
		{"a hung file delays no other", func(b *bench) {
			b.put("/t", letters("a"), false, unknown)
			b.rules("2001:db8::/64=/t", "2001:db8:1::/64=/hung")
			b.want(0, "a")
			if err := b.follower.Ready(); err == nil || err.Error() != "the first reading of /hung" {
				b.t.Errorf("it waits for %v", err)
			}
			ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
			b.follower.Preload(ctx, b.store.Load().Rules())()
			cancel()
			b.rules(rule)
			b.put("/t", letters("b"), true, renamed)
			b.want(debounce, "b")
			close(b.hangs)
			b.want(time.Second, "b")
			if err := b.follower.Ready(); err != nil {
				b.t.Errorf("it waits for %v", err)
			}
		}},
		{"cannot be read", func(b *bench) {
			b.put("/t", letters("a"), false, unknown)
			b.rules(rule)
			b.want(0, "a")
			b.fail("/t", fs.ErrPermission)
			b.follower.fileChanged("/t", unknown)
			b.want(time.Hour, "a")
			if f := b.follower.Files()[0]; f.Err == nil || !strings.Contains(f.Remedy, "chmod") {
				b.t.Errorf("got %+v", f)
			}
			if n := strings.Count(b.logged(), "does not count"); n != 1 {
				b.t.Errorf("%d lines about it in the log", n)
			}
			b.fail("/t", nil)
			b.put("/t", letters("b"), true, renamed)
			b.want(debounce, "b")
			if !strings.Contains(b.logged(), "count again") {
				b.t.Error("the log does not tell of the end")
			}
		}},
		{"faults that come and go are logged seldom", func(b *bench) {
			b.rules(rule)
			for i := range 1000 {
				b.put("/t", fmt.Sprintf("%sx%d\n", letters("a"), i), true, renamed)
				time.Sleep(100 * time.Millisecond)
			}
			if n := strings.Count(b.logged(), "does not count"); n < 2 || n > 10 {
				b.t.Errorf("%d lines in the log", n)
			}
			b.want(2*logEvery, "a")
			if !strings.Contains(b.logged(), "x999") {
				b.t.Error("the last fault is not in the log")
			}
		}},
		{"the rule's prefix changes", func(b *bench) {
			b.put("/t", letters("ab"), false, unknown)
			b.rules(rule)
			b.want(0, "ab")
			b.rules("2001:db8::a/128=/t")
			b.want(time.Second, "a")
			if f := b.follower.Files()[0]; f.Outside != 1 || f.Targets != 1 || len(f.Faults) != 1 {
				b.t.Errorf("got %+v", f)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { with(t, tt.test) })
	}
}
