// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod(i int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("p", i)},
		Status:     corev1.PodStatus{PodIP: fmt.Sprintf("2001:db8::%x", i+1)},
	}
}

func podList(from, to int) []any {
	var list []any
	for i := from; i < to; i++ {
		list = append(list, pod(i))
	}
	return list
}

// follower is a watcher that is not connected, and what it told.
type follower struct {
	*Watcher
	pods map[netip.Addr]Pod
}

func newFollower(t *testing.T, snapshot string) *follower {
	t.Helper()
	f := new(follower)
	f.Watcher = New(nil, Config{Node: "n1", Needs: Needs{Pods: true}, Snapshot: snapshot, Log: slog.New(slog.DiscardHandler)},
		Handler{Pods: func(all map[netip.Addr]Pod) { f.pods = all }, Known: func(string, bool) {}, Absent: func(bool, []string) {}})
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKept takes events and lists in.
func TestKept(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		do         func(k *kept[Pod]) error
		want, held int
	}{
		{"list", func(*kept[Pod]) error { return nil }, 10, 0},
		{"a deletion", func(k *kept[Pod]) error { return k.Delete(pod(3)) }, 9, 0},
		{"many deletions", func(k *kept[Pod]) error {
			for i := range 9 {
				if err := k.Delete(pod(i)); err != nil {
					return err
				}
			}
			return nil
		}, 1, 0},
		{"a list that lacks some", func(k *kept[Pod]) error { return k.Replace(podList(5, 10), "") }, 5, 0},
		{"a list that lacks most", func(k *kept[Pod]) error { return k.Replace(podList(6, 10), "") }, 10, 6},
		{"an empty list", func(k *kept[Pod]) error { return k.Replace(nil, "") }, 10, 10},
		{"an empty list twice", func(k *kept[Pod]) error {
			_ = k.Replace(nil, "")
			return k.Replace(nil, "")
		}, 10, 10},
		{"an empty list, and a whole one", func(k *kept[Pod]) error {
			_ = k.Replace(nil, "")
			return k.Replace(podList(0, 10), "")
		}, 10, 0},
		{"an empty list, and some come back", func(k *kept[Pod]) error {
			_ = k.Replace(nil, "")
			return k.Add(pod(2))
		}, 10, 9},
		{"an empty list, and a deletion", func(k *kept[Pod]) error {
			_ = k.Replace(nil, "")
			return k.Delete(pod(2))
		}, 9, 9},
		{"an empty list, and time", func(k *kept[Pod]) error {
			_ = k.Replace(nil, "")
			k.release()
			return nil
		}, 0, 0},
		{"an empty list, and time without the server", func(k *kept[Pod]) error {
			_ = k.Replace(nil, "")
			k.health.result(os.ErrDeadlineExceeded, true)
			k.release()
			return nil
		}, 10, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFollower(t, "")
			must(t, f.Watcher.pods.Replace(podList(0, 10), ""))
			must(t, tt.do(f.Watcher.pods))
			if held := f.Watcher.pods.health.get().Held; len(f.pods) != tt.want || held != tt.held {
				t.Errorf("got %d pods, %d held, want %d, %d", len(f.pods), held, tt.want, tt.held)
			}
		})
	}
}

// TestProxySeen keeps in the snapshot that a service proxy was well.
func TestProxySeen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	f := newFollower(t, path)
	f.ProxySeen("http://[::1]:1/")
	must(t, f.archive.write())
	next, got := newFollower(t, path), ""
	next.handler.Proxy = func(url string) { got = url }
	next.archive.restore()
	if got != "http://[::1]:1/" {
		t.Errorf("the next process knows of %q", got)
	}
	must(t, next.archive.write())
	if s, err := readSnapshot(path); err != nil || len(s.Objects[proxyObject]) == 0 {
		t.Errorf("it is lost after one process: %v", err)
	}
}

// TestFewKept believes a list that lacks most of very few.
func TestFewKept(t *testing.T) {
	t.Parallel()
	f := newFollower(t, "")
	must(t, f.Watcher.pods.Replace(podList(0, massDelete-1), ""))
	must(t, f.Watcher.pods.Replace(nil, ""))
	if len(f.pods) != 0 {
		t.Errorf("%d pods are kept", len(f.pods))
	}
}

// TestSnapshot writes a snapshot and reads it in another process's place.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(s *snapshot)
		want   int
	}{
		{"as it was", func(*snapshot) {}, 10},
		{"after a reboot", func(s *snapshot) { s.BootID = "another" }, 0},
		{"of another node", func(s *snapshot) { s.Node = "n2" }, 0},
		{"of long ago", func(s *snapshot) { s.Saved = time.Now().Add(-SnapshotAge - time.Minute) }, 0},
		{"of the future", func(s *snapshot) { s.Saved = time.Now().Add(SnapshotAge + time.Minute) }, 0},
		{"of another version", func(s *snapshot) { s.Version++ }, 0},
		{"with an unknown source", func(s *snapshot) { s.Objects["x"] = []byte("{}") }, 10},
		{"with a broken source", func(s *snapshot) { s.Objects["pods"] = []byte("[1]") }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sub", "state.json")
			f := newFollower(t, path)
			must(t, f.Watcher.pods.Replace(podList(0, 10), ""))
			must(t, f.archive.write())
			s, err := readSnapshot(path)
			must(t, err)
			tt.change(&s)
			s.Checksum = s.sum()
			must(t, saveSnapshot(path, s))

			next := newFollower(t, path)
			next.archive.restore()
			if len(next.pods) != tt.want {
				t.Errorf("%d pods are known, want %d", len(next.pods), tt.want)
			}
			status := next.Watcher.pods.health.get()
			if status.Synced || status.Restored != (tt.want > 0) {
				t.Errorf("status is %+v", status)
			}
			// The first list is believed, however much it lacks.
			must(t, next.Watcher.pods.Replace(podList(0, 1), ""))
			if len(next.pods) != 1 {
				t.Errorf("%d pods are known after the first list", len(next.pods))
			}
		})
	}
}

// TestBrokenSnapshot reads what is no snapshot, and answers for nothing.
func TestBrokenSnapshot(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "good")
	f := newFollower(t, good)
	must(t, f.Watcher.pods.Replace(podList(0, 10), ""))
	must(t, f.archive.write())
	b, err := os.ReadFile(good)
	must(t, err)
	for name, content := range map[string]string{
		"empty": "", "cut short": string(b[:len(b)/2]), "not JSON": "hello", "changed": strings.Replace(string(b), "2001:db8::5", "2001:db8::ff", 1),
	} {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		next := newFollower(t, path)
		next.archive.restore()
		if len(next.pods) != 0 {
			t.Errorf("%s: %d pods are known", name, len(next.pods))
		}
	}
}

// TestUnwritten writes a snapshot where it cannot be: the warning says whether a start
// would have answers.
func TestUnwritten(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(t *testing.T, a *archive) // the file, which cannot be written again
		want   string
	}{
		{"for the first time", func(*testing.T, *archive) {}, "will have no answers"},
		{"after one that was written", func(t *testing.T, a *archive) { must(t, a.write()) }, "will answer from the last one"},
		{"after one that was restored", func(t *testing.T, a *archive) { must(t, a.write()); *a = archive{w: a.w}; a.restore() }, "will answer from the last one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			dir := filepath.Join(t.TempDir(), "state")
			f := newFollower(t, filepath.Join(dir, "state.json"))
			f.config.Log = slog.New(slog.NewTextHandler(&log, nil))
			must(t, f.Watcher.pods.Replace(podList(0, 10), ""))
			tt.before(t, f.archive)
			must(t, os.RemoveAll(dir))
			must(t, os.WriteFile(dir, nil, 0o600)) // no directory
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			must(t, f.Watcher.pods.Add(pod(10)))
			f.archive.run(ctx)
			if !strings.Contains(log.String(), tt.want) {
				t.Errorf("the log has %q", &log)
			}
		})
	}
}

// TestHostHash is Calico's label for a name.
func TestHostHash(t *testing.T) {
	t.Parallel()
	if h := hostHash("node0001"); len(h) != 52 || strings.ToUpper(h) != h {
		t.Errorf("got %q: want the base32 of 32 octets, without padding", h)
	}
}
