// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// stopWait is how long a task gets to end before the group goes on without it:
// a stuck one must not keep the others from giving back what they have.
const stopWait = 3 * time.Second

// Group runs tasks. It starts them in their order and stops them in reverse, each
// once the ones after it have ended: what others need ends last.
type Group struct {
	tasks []Task
	log   *slog.Logger
}

// NewGroup returns a group of tasks that do not run yet.
func NewGroup(log *slog.Logger, tasks ...Task) *Group { return &Group{tasks: tasks, log: log} }

// Waiting is a task that is not ready, and what it waits for.
type Waiting struct {
	Task string
	For  string
}

// Waiting returns the tasks that are not ready. Any goroutine may call it.
func (g *Group) Waiting() []Waiting {
	var waiting []Waiting
	for _, t := range g.tasks {
		if err := t.Ready(); err != nil {
			waiting = append(waiting, Waiting{Task: t.String(), For: err.Error()})
		}
	}
	return waiting
}

// end is how a task has ended.
type end struct {
	task Task
	err  error
}

// Run runs the tasks until ctx ends, and returns nil then. When one ends by
// itself the others are stopped, and its error is returned.
func (g *Group) Run(ctx context.Context) error {
	first := make(chan end, len(g.tasks)) // only the first counts
	stop := make([]func(), len(g.tasks))
	ended := make([]chan struct{}, len(g.tasks))
	for i, t := range g.tasks {
		// Each ends in its turn, not with ctx.
		inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
		stop[i], ended[i] = cancel, make(chan struct{})
		go func() {
			defer close(ended[i])
			first <- end{t, t.Run(inner)}
		}()
	}
	var err error
	select {
	case <-ctx.Done():
	case e := <-first:
		if err = fmt.Errorf("%s: %w", e.task, e.err); e.err == nil {
			err = fmt.Errorf("%s has ended by itself", e.task)
		}
	}
	for i := len(g.tasks) - 1; i >= 0; i-- {
		stop[i]()
		select {
		case <-ended[i]:
		case <-time.After(stopWait):
			g.log.Warn("a task does not end: going on without it", "task", g.tasks[i].String())
		}
	}
	return err
}
