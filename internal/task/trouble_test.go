// SPDX-License-Identifier: Apache-2.0

package task_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/task"
)

// TestTrouble counts the lines that a sequence of errors makes.
func TestTrouble(t *testing.T) {
	t.Parallel()
	away, full := errors.New("the server is away"), errors.New("the queue is full")
	type report struct {
		cause string
		err   error
	}
	tests := []struct {
		name    string
		reports []report
		want    int
	}{
		{"none", []report{{"a", nil}}, 0},
		{"the same again and again", []report{{"a", away}, {"a", away}, {"a", away}}, 1},
		{"another error of the same cause", []report{{"a", away}, {"a", full}}, 2},
		{"the same error of two causes", []report{{"a", away}, {"b", away}, {"a", away}, {"b", away}}, 2},
		{"it ends and comes back", []report{{"a", away}, {"a", nil}, {"a", away}}, 2},
		{"the end of another cause", []report{{"a", away}, {"b", nil}, {"a", away}}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			trouble := task.NewTrouble(slog.New(slog.NewTextHandler(&b, nil)))
			for _, r := range tt.reports {
				trouble.Report(r.cause, r.err)
			}
			if got := strings.Count(b.String(), "\n"); got != tt.want {
				t.Errorf("%d lines, want %d:\n%s", got, tt.want, &b)
			}
		})
	}
}
