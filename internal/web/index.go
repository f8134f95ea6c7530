// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/status"
)

// index serves the page at the root.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, indexPage(s.options.Daemon.Status(r.Context())))
}

func indexPage(s status.Status) string {
	var b strings.Builder
	text := html.EscapeString
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ndproxyd</title></head><body>
<h1>ndproxyd %s</h1>
<p>%d rules from %s, running since %s.</p>
<table border="1" cellpadding="4"><tr><th>uplink<th>state<th>received<th>answered</tr>
`, text(s.Version.Version), s.Rules, text(s.Config), s.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	for _, u := range s.Uplinks {
		fmt.Fprintf(&b, "<tr><td>%s<td>%s %s<td>%d<td>%d</tr>\n", text(u.Interface), text(u.State), text(u.Why), u.Received, u.Answered)
	}
	b.WriteString(`</table>
<p><a href="/metrics">metrics</a> · <a href="/readyz">ready</a> · <a href="/healthz">healthy</a></p>
</body></html>
`)
	return b.String()
}
