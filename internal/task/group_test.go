// SPDX-License-Identifier: Apache-2.0

package task_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/task"
)

// fake is a task whose end takes as long as the test wants.
type fake struct {
	name  string
	ends  time.Duration // after it was told to, for ever if negative
	fails time.Duration // by itself after so long, if positive
	ready error
	diary *diary
}

// diary notes what happened in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func (f *fake) String() string { return f.name }
func (f *fake) Ready() error   { return f.ready }

func (f *fake) Run(ctx context.Context) error {
	if f.fails > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(f.fails):
			return errors.New("broken")
		}
	}
	<-ctx.Done()
	if f.ends < 0 {
		select {}
	}
	time.Sleep(f.ends)
	f.diary.add("end of " + f.name)
	return nil
}

func TestGroup(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		tasks []*fake
		want  []string // the ends in their order
		err   string
		most  time.Duration // that the end takes
	}{
		{"reverse order", []*fake{{name: "a"}, {name: "b", ends: time.Second}, {name: "c"}}, []string{"end of c", "end of b", "end of a"}, "", time.Second},
		{"one fails", []*fake{{name: "a"}, {name: "b", fails: time.Minute}}, []string{"end of a"}, "b: broken", 0},
		{"slow", []*fake{{name: "a"}, {name: "b", ends: time.Hour}}, []string{"end of a"}, "", 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var d diary
				var tasks []task.Task
				for _, f := range tt.tasks {
					f.diary = &d
					tasks = append(tasks, f)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				begin := time.Now()
				err := task.NewGroup(slog.New(slog.DiscardHandler), tasks...).Run(ctx)
				if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error is %v, want %q", err, tt.err)
				}
				if tt.err == "" {
					if took := time.Since(begin) - 10*time.Minute; took > tt.most {
						t.Errorf("the end took %v, want at most %v", took, tt.most)
					}
				}
				if got := d.read(); !slices.Equal(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				time.Sleep(2 * time.Hour) // let the slow one end inside of the bubble
			})
		})
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	g := task.NewGroup(slog.New(slog.DiscardHandler), &fake{name: "a"}, &fake{name: "b", ready: errors.New("a link")})
	if got := g.Waiting(); !slices.Equal(got, []task.Waiting{{Task: "b", For: "a link"}}) {
		t.Errorf("got %v", got)
	}
}
