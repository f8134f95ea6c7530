// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

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
