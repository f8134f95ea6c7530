// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// TestMain takes client-go's error handlers away: one of them sleeps by the time of an
// error before, which may be one of another test with another clock.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = nil
	os.Exit(m.Run())
}

// fakeServer is an API server in this process, for tests on a clock of their own: it
// has lists, which it does not stream, and watches on which nothing ever happens.
type fakeServer struct {
	mu       sync.Mutex
	objects  map[string][]any // by resource; without a line there is no such API
	failing  map[string]int   // HTTP status, by resource
	requests map[string]int
	version  int // of the last object that was written
	watches  []*io.PipeWriter
}

var listKinds = map[string]string{
	"pods": "PodList", "nodes": "NodeList", "services": "ServiceList", "endpointslices": "EndpointSliceList", "leases": "LeaseList",
	"blockaffinities": "BlockAffinityList", "ciliumnodes": "CiliumNodeList", "servicecidrs": "ServiceCIDRList",
	"ciliuml2announcementpolicies": "CiliumL2AnnouncementPolicyList", "l2advertisements": "L2AdvertisementList",
}

func newFakeServer(resources ...string) *fakeServer {
	s := &fakeServer{objects: make(map[string][]any), failing: make(map[string]int), requests: make(map[string]int), version: 1}
	for _, r := range resources {
		s.objects[r] = []any{}
	}
	return s
}

func (s *fakeServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// asked returns how many requests there were for a resource.
func (s *fakeServer) asked(resource string) (n int) {
	s.set(func() { n = s.requests[resource] })
	return n
}

// restart ends all watches.
func (s *fakeServer) restart() {
	s.set(func() {
		for _, w := range s.watches {
			_ = w.Close()
		}
		s.watches = nil
	})
}

// RoundTrip implements [http.RoundTripper].
func (s *fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	parts := map[string]int{"api": 2, "apis": 3}[path[0]]
	if len(path) == parts { // which resources the group has
		all := []map[string]string{}
		for resource := range s.objects {
			all = append(all, map[string]string{"name": resource})
		}
		return answer(r, http.StatusOK, map[string]any{"kind": "APIResourceList", "resources": all}), nil
	}
	group := strings.Join(path[1:parts], "/")
	path = path[parts:]
	if len(path) > 2 && path[0] == "namespaces" {
		path = path[2:]
	}
	resource, name := path[0], strings.Join(path[1:], "/")
	s.requests[resource]++
	if code := s.failing[resource]; code != 0 {
		return status(r, code), nil
	}
	objects, known := s.objects[resource]
	q := r.URL.Query()
	switch {
	case !known:
		return status(r, http.StatusNotFound), nil
	case r.Method != http.MethodGet:
		return s.write(r, resource, name), nil
	case name != "":
		for _, o := range objects {
			if nameOf(o) == name {
				return answer(r, http.StatusOK, o), nil
			}
		}
		return status(r, http.StatusNotFound), nil
	case q.Get("sendInitialEvents") != "":
		return status(r, http.StatusUnprocessableEntity), nil
	case q.Get("watch") != "":
		body, end := io.Pipe()
		s.watches = append(s.watches, end)
		go func() { <-r.Context().Done(); _ = end.Close() }()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}, nil
	}
	return answer(r, http.StatusOK, map[string]any{
		"kind": listKinds[resource], "apiVersion": group, "metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": objects,
	}), nil
}

// write takes an object over, unless another one was written since it was read.
func (s *fakeServer) write(r *http.Request, resource, name string) *http.Response {
	var o map[string]any
	if r.Body != nil {
		defer r.Body.Close()
		_ = json.NewDecoder(r.Body).Decode(&o)
	}
	objects := s.objects[resource]
	if r.Method == http.MethodPost {
		name = nameOf(o)
	}
	for i, was := range objects {
		switch {
		case nameOf(was) != name:
		case r.Method == http.MethodPost:
			return status(r, http.StatusConflict)
		case r.Method == http.MethodDelete:
			s.objects[resource] = append(objects[:i:i], objects[i+1:]...)
			return answer(r, http.StatusOK, was)
		case o["metadata"].(map[string]any)["resourceVersion"] != was.(map[string]any)["metadata"].(map[string]any)["resourceVersion"]:
			return status(r, http.StatusConflict)
		default:
			s.version++
			o["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
			objects[i] = o
			return answer(r, http.StatusOK, o)
		}
	}
	if r.Method != http.MethodPost {
		return status(r, http.StatusNotFound)
	}
	s.version++
	o["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
	s.objects[resource] = append(objects, o)
	return answer(r, http.StatusCreated, o)
}

func nameOf(o any) string {
	m, _ := o.(map[string]any)
	meta, _ := m["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return name
}

func answer(r *http.Request, code int, body any) *http.Response {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b)), Request: r}
}

func status(r *http.Request, code int) *http.Response {
	reasons := map[int]string{403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid", 500: "InternalError"}
	return answer(r, code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reasons[code], "message": fmt.Sprint("the test says ", code)})
}

// object makes an object from its kind, its name and further parts.
func object(apiVersion, kind, name string, parts map[string]any) map[string]any {
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name, "resourceVersion": "1"}}
	for k, v := range parts {
		o[k] = v
	}
	return o
}

// watched is a watcher of a fake server, and what it has told.
type watched struct {
	*Watcher
	*testing.T
	server   *fakeServer
	log      *bytes.Buffer
	sameHost bool   // what it says of a lease of this node
	kill     func() // ends it without a word to the server

	told      sync.Mutex
	forbidden []string
	source    string
	prefixes  []netip.Prefix
	pods      map[netip.Addr]Pod
	renewals  []error
}

// watching runs f beside a watcher of a fake server, with a clock of the test's own.
func watching(t *testing.T, server *fakeServer, config Config, f func(w *watched)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := watchServer(t, server, config)
		synctest.Wait()
		f(w)
	})
}

// watchServer starts a watcher, which ends with the test's bubble.
func watchServer(t *testing.T, server *fakeServer, config Config) *watched {
	t.Helper()
	asJSON, hc := &rest.Config{Host: "https://api.example", QPS: -1}, &http.Client{Transport: server}
	free, err := dynamic.NewForConfigAndClient(asJSON, hc)
	must(t, err)
	typed, err := newTyped(asJSON, hc)
	must(t, err)
	client := &Client{typed: typed, dynamic: free}
	w := &watched{T: t, server: server, log: new(bytes.Buffer)}
	config.Holder = "h1"
	w.start(client, config)
	return w
}

// start runs a watcher, which ends with the test's bubble or when stop is called.
func (w *watched) start(client *Client, config Config) {
	config.Log = slog.New(slog.NewTextHandler(&lockedWriter{w: w.log}, nil))
	if config.Node == "" {
		config.Node = "n1"
	}
	w.Watcher = New(client, config, Handler{
		Pods: func(all map[netip.Addr]Pod) { w.record(func() { w.pods = all }) },
		Prefixes: func(source string, ps []netip.Prefix) {
			w.record(func() { w.source, w.prefixes = source, ps })
		},
		Services: func([]AddressChange) {}, ServiceCIDRs: func([]netip.Prefix) {}, Node: func(NodeState) {}, Lease: func(Lease, bool) {},
		Wanted: func([]Lease, int) bool { return true }, Joining: func() {}, Absent: func(bool, []string) {}, Known: func(string, bool) {}, Record: func() string { return "{}" },
		Links:    func() Links { return Links{Unknown: true} },
		SameHost: func(string) bool { return w.sameHost },
		Renewed:  func(err error) { w.record(func() { w.renewals = append(w.renewals, err) }) },
		Forbidden: func(source string, is bool) {
			w.record(func() { w.forbidden = append(w.forbidden, fmt.Sprint(source, " ", is)) })
		},
	})
	ctx, stop := context.WithCancelCause(w.Context())
	w.kill = func() { stop(ErrReplaced) }
	go w.Watcher.Run(ctx)
}

// another starts a watcher of the same server and the same node in another process.
func (w *watched) another(holder string, sameHost bool) *watched {
	config := w.config
	config.Holder = holder
	o := &watched{T: w.T, server: w.server, log: new(bytes.Buffer), sameHost: sameHost}
	o.start(w.client, config)
	o.Announce()
	return o
}

func (w *watched) record(f func()) {
	w.told.Lock()
	defer w.told.Unlock()
	f()
}

// after lets time go by, and returns what was told of permissions meanwhile.
func (w *watched) after(d time.Duration) (forbidden string) {
	time.Sleep(d)
	synctest.Wait()
	w.record(func() { forbidden, w.forbidden = strings.Join(w.forbidden, ", "), nil })
	return forbidden
}

// lockedWriter lets several goroutines write.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
