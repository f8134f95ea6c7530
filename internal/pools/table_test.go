// SPDX-License-Identifier: Apache-2.0

package pools_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/pools"
)

func addr(s string) netip.Addr { return netip.MustParseAddr("2001:db8::" + s) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix("2001:db8::" + s) }

// three are the pools of these tests.
func three() []pools.Pool {
	return []pools.Pool{
		{Name: "small", Prefixes: []netip.Prefix{prefix("1:0/126")}},
		{Name: "shop", Prefixes: []netip.Prefix{prefix("2:0/112")}, Namespaces: []string{"shop"}},
		{Name: "manual", Prefixes: []netip.Prefix{prefix("3:0/112"), prefix("4:8/128")}, Manual: true},
	}
}

func request(service string, change ...func(*pools.Request)) pools.Request {
	ns, _, _ := strings.Cut(service, "/")
	r := pools.Request{Service: service, Namespace: ns, Ports: []pools.Port{{Protocol: "TCP", Number: 80}}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func wants(as ...string) func(*pools.Request) {
	return func(r *pools.Request) {
		for _, a := range as {
			r.Wanted = append(r.Wanted, addr(a))
		}
	}
}

func has(a string) func(*pools.Request) {
	return func(r *pools.Request) { r.Has = []netip.Addr{addr(a)} }
}

func pool(name string) func(*pools.Request) { return func(r *pools.Request) { r.Pool = name } }

func shares(key string, port int32) func(*pools.Request) {
	return func(r *pools.Request) { r.ShareKey, r.Ports[0].Number = key, port }
}

func backend(b string) func(*pools.Request) { return func(r *pools.Request) { r.Backend = b } }

func TestAssign(t *testing.T) {
	type step struct {
		r    pools.Request
		want string // an address, or a part of the error
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"from the lowest on, without the subnet-router anycast address, until it is full", []step{
			{request("a/1"), "1:1"}, {request("a/2"), "1:2"}, {request("a/3"), "1:3"}, {request("a/4"), `no free address: pool "small" is full`},
		}},
		{"the next pool, where the namespace may use it", []step{
			{request("shop/1"), "1:1"}, {request("shop/2"), "1:2"}, {request("shop/3"), "1:3"}, {request("shop/4"), "2:1"},
		}},
		{"what it has stays", []step{{request("a/1", has("1:3")), "1:3"}, {request("a/2"), "1:1"}}},
		{"two with one address: the second gets another", []step{{request("a/1", has("1:1")), "1:1"}, {request("a/2", has("1:1")), "1:2"}}},
		{"an address whose pool is no more stays", []step{{request("a/1", has("9:9")), "9:9"}, {request("a/2", has("9:9")), "1:1"}}},
		{"a wish", []step{{request("a/1", wants("3:77")), "3:77"}}},
		{"a wish goes before what it has", []step{{request("a/1", has("1:1"), wants("1:2")), "1:2"}, {request("a/2"), "1:1"}}},
		{"a wish that another has", []step{{request("a/1"), "1:1"}, {request("a/2", wants("1:1")), "in use by service a/1, which does not share it"}}},
		{"a wish outside of all pools", []step{{request("a/1", wants("5:1")), `5:1 is in no pool: there are "small", "shop", "manual"`}}},
		{"a wish of another namespace", []step{{request("a/1", wants("2:5")), `which is not for namespace "a"`}}},
		{"a wish for a node's address", []step{{request("a/1", wants("3:1")), "is an address of node n1"}}},
		{"a node's address is left out", []step{{request("a/1", pool("manual")), "3:2"}}},
		{"a pool by name", []step{{request("a/1", pool("manual"), has("1:1")), "3:2"}}},
		{"a pool that is not there", []step{{request("a/1", pool("other")), `there is no pool "other": there are "small"`}}},
		{"a pool of one address", []step{{request("a/1", wants("4:8")), "4:8"}}},
		{"shared by key", []step{{request("a/1", shares("k", 80)), "1:1"}, {request("a/2", shares("k", 443)), "1:1"}}},
		{"not with the same port", []step{{request("a/1", shares("k", 80)), "1:1"}, {request("a/2", shares("k", 80)), "1:2"}}},
		{"not with another key", []step{{request("a/1", shares("k", 80)), "1:1"}, {request("a/2", shares("l", 443)), "1:2"}}},
		{"not where Local policies lead elsewhere", []step{
			{request("a/1", shares("k", 80), backend("app=x")), "1:1"}, {request("a/2", shares("k", 443), backend("app=y")), "1:2"}, {request("a/3", shares("k", 444), backend("app=x")), "1:1"},
		}},
		{"a wish to share that has the same port", []step{
			{request("a/1", shares("k", 80)), "1:1"}, {request("a/2", shares("k", 80), wants("1:1")), "which has TCP port 80 as well"},
		}},
		{"a status that is not read yet", []step{{request("a/1", has("1:2")), "1:2"}, {request("a/1"), "1:2"}}},
		{"asked twice", []step{{request("a/1"), "1:1"}, {request("a/1", has("1:1")), "1:1"}, {request("a/2"), "1:2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := pools.NewTable(three())
			table.SetNodes(map[netip.Addr]string{addr("3:1"): "n1"})
			for i, s := range tt.steps {
				got, err := table.Assign(s.r)
				switch {
				case err != nil && !strings.Contains(err.Error(), s.want):
					t.Errorf("step %d: %v, want %q", i+1, err, s.want)
				case err == nil && (len(got) != 1 || fmt.Sprint(got[0]) != "2001:db8::"+s.want):
					t.Errorf("step %d: %s, want %s", i+1, got, s.want)
				}
			}
		})
	}
}

func TestReleased(t *testing.T) {
	table := pools.NewTable(three())
	for i := range 3 {
		if _, err := table.Assign(request(fmt.Sprintf("a/%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.Assign(request("a/late")); !errors.Is(err, pools.ErrFull) {
		t.Fatalf("a full pool gives %v", err)
	}
	if !table.Release("a/1") || table.Release("a/1") {
		t.Error("an address is released once")
	}
	if got, err := table.Assign(request("a/late")); err != nil || got[0] != addr("1:2") {
		t.Errorf("the released address went elsewhere: %s, %v", got, err)
	}
	if used := table.Used(); used["small"] != 3 || used["manual"] != 0 {
		t.Errorf("in use: %v", used)
	}
}

// TestUnread assigns to a service whose status was written and not read yet: it is not
// given another address because a lower one is free meanwhile.
func TestUnread(t *testing.T) {
	table := pools.NewTable(three())
	moves := request("a/2", has("1:1"), pool("manual"))
	for _, r := range []pools.Request{request("a/1", pool("manual")), moves} {
		if _, err := table.Assign(r); err != nil {
			t.Fatal(err)
		}
	}
	table.Release("a/1")
	if got, err := table.Assign(moves); err != nil || got[0] != addr("3:2") {
		t.Errorf("%s, %v, want what it was assigned before", got, err)
	}
}

// TestKeep has services keep what they have, before others are assigned any.
func TestKeep(t *testing.T) {
	table := pools.NewTable(three())
	table.SetNodes(map[netip.Addr]string{addr("1:2"): "n1"})
	for i, tt := range []struct {
		r    pools.Request
		want bool
	}{
		{request("a/1"), false},
		{request("a/2", has("1:1")), true},
		{request("a/3", has("1:1")), false},
		{request("a/4", has("1:2")), false},
		{request("a/5", has("9:9")), true}, // whose pool is no more
	} {
		if got := table.Keep(tt.r); got != tt.want || table.Holds(tt.r.Service) != tt.want {
			t.Errorf("step %d: %t, want %t", i+1, got, tt.want)
		}
	}
	if got, err := table.Assign(request("a/6")); err != nil || got[0] != addr("1:3") {
		t.Errorf("%s, %v, want what nobody has", got, err)
	}
}

// TestNeverTwice gives, takes and wishes at random: no address is two services' that do
// not share it, and none is left out while a service goes without.
func TestNeverTwice(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	table := pools.NewTable([]pools.Pool{{Name: "p", Prefixes: []netip.Prefix{prefix("0/124"), prefix("100/124")}}})
	have := make(map[string]pools.Request)
	for range 20_000 {
		key := fmt.Sprintf("a/%d", r.IntN(40))
		if r.IntN(3) == 0 {
			table.Release(key)
			delete(have, key)
			continue
		}
		q := request(key, shares(fmt.Sprint(r.IntN(20)), int32(r.IntN(3))))
		if r.IntN(4) == 0 {
			q.Wanted = []netip.Addr{addr(fmt.Sprintf("%x", r.IntN(32)))}
		}
		before := have[key]
		q.Has = before.Has
		got, err := table.Assign(q)
		delete(have, key)
		if err == nil {
			q.Has = got
			have[key] = q
		}
		users := make(map[netip.Addr][]pools.Request)
		for _, h := range have {
			users[h.Has[0]] = append(users[h.Has[0]], h)
		}
		if errors.Is(err, pools.ErrFull) && len(users) < 30 {
			t.Fatalf("%d of 30 addresses are in use, and yet %v", len(users), err)
		}
		for a, us := range users {
			for i, u := range us {
				if slices.ContainsFunc(us[:i], func(o pools.Request) bool { return o.ShareKey != u.ShareKey || o.Ports[0] == u.Ports[0] }) {
					t.Fatalf("%s is in use by %+v", a, us)
				}
			}
		}
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		pools []pools.Pool
		want  string
	}{
		{"good", three(), ""},
		{"none", nil, "no pool is configured"},
		{"no name", []pools.Pool{{Prefixes: []netip.Prefix{prefix("/64")}}}, "pool 1 has no name"},
		{"no prefix", []pools.Pool{{Name: "a"}}, `pool "a" has no prefixes`},
		{"IPv4", []pools.Pool{{Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}, "not an IPv6 prefix"},
		{"bits", []pools.Pool{{Name: "a", Prefixes: []netip.Prefix{prefix("1/64")}}}, "write 2001:db8::/64"},
		{"huge", []pools.Pool{{Name: "a", Prefixes: []netip.Prefix{prefix("/32")}}}, "at most a /48"},
		{"link-local", []pools.Pool{{Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("fe80::/64")}}}, "is not unicast"},
		{"overlap", []pools.Pool{{Name: "a", Prefixes: []netip.Prefix{prefix("/64")}}, {Name: "b", Prefixes: []netip.Prefix{prefix("1:0/112")}}}, `overlaps 2001:db8::/64 of pool "a"`},
		{"overlap within", []pools.Pool{{Name: "a", Prefixes: []netip.Prefix{prefix("/64"), prefix("1:0/112")}}}, "overlaps"},
		{"twice", []pools.Pool{{Name: "a", Prefixes: []netip.Prefix{prefix("1:0/112")}}, {Name: "a", Prefixes: []netip.Prefix{prefix("2:0/112")}}}, `pool "a" is there twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := pools.Check(tt.pools); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func BenchmarkAssign(b *testing.B) {
	b.ReportAllocs()
	table := pools.NewTable([]pools.Pool{{Name: "p", Prefixes: []netip.Prefix{prefix("/64")}}})
	for i := range b.N {
		if _, err := table.Assign(request(fmt.Sprintf("a/%d", i%10_000))); err != nil {
			b.Fatal(err)
		}
	}
}
