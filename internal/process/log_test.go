// SPDX-License-Identifier: Apache-2.0

package process_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/process"
)

// TestNewLogger chooses the format by where the log goes.
func TestNewLogger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format, journal string
		want, not       string
		bad             bool
	}{
		"auto to a file":         {format: process.LogAuto, want: `"msg":"hello"`},
		"auto to the journal":    {format: process.LogAuto, journal: "8:1", want: "msg=hello", not: "time="},
		"text to a file":         {format: process.LogText, want: "time="},
		"JSON to the journal":    {format: process.LogJSON, journal: "8:1", want: `"time":`},
		"a format of no meaning": {format: "xml", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			log, err := process.NewLogger(&b, c.format, slog.LevelInfo, func(string) string { return c.journal })
			if (err != nil) != c.bad {
				t.Fatal(err)
			}
			if c.bad {
				return
			}
			log.Info("hello")
			if s := b.String(); !strings.Contains(s, c.want) || c.not != "" && strings.Contains(s, c.not) {
				t.Errorf("the line is %s", s)
			}
		})
	}
}
