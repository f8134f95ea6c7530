// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/ndproxyd/ndproxyd/internal/pools"
)

// api is an API server that has statuses written, and the cache of it, which is told of
// them at once unless it is behind.
type api struct {
	corev1client.ServiceInterface
	*controller
	events *record.FakeRecorder
	writes int
	behind bool
}

func (a *api) Services(string) corev1client.ServiceInterface { return a }

func (a *api) UpdateStatus(_ context.Context, s *corev1.Service, _ metav1.UpdateOptions) (*corev1.Service, error) {
	if a.behind {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "services"}, s.Name, nil)
	}
	a.writes++
	return s, a.services.Update(s)
}

// lead has a controller begin with some services, and a pool of three addresses, of which
// a /126 has one more that is left out.
func lead(t *testing.T, services ...*corev1.Service) *api {
	t.Helper()
	a := &api{events: record.NewFakeRecorder(100)}
	config := &Config{Class: DefaultClass, WithoutClass: true, Pools: []pools.Pool{{Name: "p", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/126")}}}}
	a.controller = newController(config, a, a.events, newMetrics(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(a.queue.ShutDown)
	a.services, a.nodes = cache.NewStore(cache.MetaNamespaceKeyFunc), cache.NewStore(cache.MetaNamespaceKeyFunc)
	for i, s := range services {
		s.CreationTimestamp = metav1.Unix(int64(i), 0)
		a.put(t, s)
	}
	a.begin(t.Context())
	return a
}

func (a *api) put(t *testing.T, s *corev1.Service) {
	t.Helper()
	if err := a.services.Update(s); err != nil {
		t.Fatal(err)
	}
}

// drain reconciles what is in the queue now.
func (a *api) drain(t *testing.T) (turns int) {
	t.Helper()
	for ; a.queue.Len() > 0; turns++ {
		key, _ := a.queue.Get()
		a.turn(t.Context(), key)
		a.queue.Done(key)
	}
	return turns
}

// want compares the addresses in the statuses of services: the last octet of each, 0 for
// none.
func (a *api) want(t *testing.T, want map[string]byte) {
	t.Helper()
	for name, octet := range want {
		object, _, err := a.services.GetByKey("shop/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var expected []netip.Addr
		if octet != 0 {
			expected = []netip.Addr{last(octet)}
		}
		if got := assigned(object.(*corev1.Service)); !slices.Equal(got, expected) {
			t.Errorf("service %s has %v, want %v", name, got, expected)
		}
	}
}

func last(octet byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 15: octet})
}

func named(name string) func(*corev1.Service) { return func(s *corev1.Service) { s.Name = name } }

func having(octet byte) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: last(octet).String()}}
	}
}

func deleted(s *corev1.Service) { s.DeletionTimestamp = new(metav1.Unix(1, 0)) }

// TestBegin has a leader that is new take services over, the oldest first. Nobody is given
// what another one has.
func TestBegin(t *testing.T) {
	tests := []struct {
		name     string
		services []*corev1.Service
		want     map[string]byte
	}{
		{"what they have", []*corev1.Service{service(named("a")), service(named("b"), having(1))}, map[string]byte{"a": 2, "b": 1}},
		{"two with one address", []*corev1.Service{service(named("a"), having(1)), service(named("b"), having(1))}, map[string]byte{"a": 1, "b": 2}},
		{
			"a wish for what a younger one has", []*corev1.Service{service(named("a"), having(1), annotated(addressesAnnotation, last(2).String())), service(named("b"), having(2))},
			map[string]byte{"a": 0, "b": 2},
		},
		{
			"one that may not keep its own", []*corev1.Service{service(named("a"), having(3)), service(named("b"), having(3)), service(named("c"), having(1))},
			map[string]byte{"a": 3, "b": 2, "c": 1},
		},
		{"one that is being deleted", []*corev1.Service{service(named("a")), service(named("b"), having(1), deleted)}, map[string]byte{"a": 2, "b": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { lead(t, tt.services...).want(t, tt.want) })
	}
}

// TestBehind has the cache be behind the API server: nothing counts as assigned before it
// is written.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := lead(t)
		a.put(t, service(named("a")))
		a.behind = true
		a.turn(t.Context(), "shop/a")
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(a.events.Events); n != 0 {
			t.Errorf("%d Events about what is not written", n)
		}
		a.behind = false
		a.drain(t)
		a.want(t, map[string]byte{"a": 1})
		if n := len(a.events.Events); n != 1 {
			t.Errorf("%d Events, want one", n)
		}
		a.queue.ShutDown()
	})
}

// TestFull has more services than addresses: those that go without are tried again when
// an address is released, and not before.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []*corev1.Service
		for i := range 5 {
			all = append(all, service(named(fmt.Sprint(i))))
		}
		a := lead(t, all...)
		a.want(t, map[string]byte{"0": 1, "1": 2, "2": 3, "3": 0, "4": 0})
		time.Sleep(time.Minute)
		synctest.Wait()
		a.drain(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := a.drain(t); n != 0 {
			t.Errorf("%d services are tried again, and no address is free", n)
		}
		if err := a.services.Delete(all[1]); err != nil {
			t.Fatal(err)
		}
		a.turn(t.Context(), "shop/1")
		time.Sleep(time.Minute)
		synctest.Wait()
		a.drain(t)
		got := make(map[netip.Addr]int)
		for _, o := range a.services.List() {
			for _, ip := range assigned(o.(*corev1.Service)) {
				got[ip]++
			}
		}
		if len(got) != 3 || got[last(2)] != 1 {
			t.Errorf("in use: %v", got)
		}
		a.queue.ShutDown()
	})
}

// TestNodeTakes has a node take the address of a service, which gets another.
func TestNodeTakes(t *testing.T) {
	a := lead(t, service(named("a")), service(named("b")))
	if err := a.nodes.Add(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: last(1).String()}}},
	}); err != nil {
		t.Fatal(err)
	}
	a.turn(t.Context(), nodesKey)
	a.drain(t)
	a.want(t, map[string]byte{"a": 3, "b": 2})
}
