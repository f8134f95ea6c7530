// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"

	"golang.org/x/sys/unix"
)

// The formats of the log.
const (
	LogAuto = "auto"
	LogText = "text"
	LogJSON = "json"
)

// NewLogger returns a logger that writes one of the formats to w. LogAuto means
// text where people read it, which is a terminal and systemd's journal, and JSON
// elsewhere. Text for the journal has no time, because the journal stamps lines
// itself. The error says that the format is unknown.
func NewLogger(w io.Writer, format string, level slog.Level, getenv func(string) string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	journal := getenv("JOURNAL_STREAM") != ""
	if format == LogAuto {
		format = LogJSON
		if journal || isTerminal(w) {
			format = LogText
		}
	}
	switch format {
	case LogText:
		if journal {
			options.ReplaceAttr = withoutTime
		}
		return slog.New(slog.NewTextHandler(w, options)), nil
	case LogJSON:
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("log format %q is not one of %s, %s, %s", format, LogAuto, LogText, LogJSON)
}

// NewSyslogLogger returns a logger that writes text to the host's syslog, where each line
// gets its time and the name of the program. Without a syslog the lines are lost.
func NewSyslogLogger(program string, level slog.Level) *slog.Logger {
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_NOTICE, program)
	if err != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
