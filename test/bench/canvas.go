// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"strings"
)

// canvas writes an SVG picture. Its colors follow the reader's choice of a light or a
// dark page, and it has no background of its own.
type canvas struct {
	width, height float64
	body          strings.Builder
}

// style gives the classes of text and lines their colors. The colors of series are
// readable on both.
const style = `text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-weight:600;font-size:14px}
.faint{fill:#59636e}
.grid{stroke:#d1d9e0;stroke-width:1}
.range{stroke:#1f2328;stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.faint{fill:#9198a1}.grid{stroke:#3d444d}.range{stroke:#f0f6fc}}`

// anchor is which end of a text is at its place.
type anchor string

const (
	left   anchor = "start"
	middle anchor = "middle"
	right  anchor = "end"
)

func (c *canvas) text(x, y float64, a anchor, class, s string) {
	fmt.Fprintf(&c.body, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, a, class, html.EscapeString(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.body, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (c *canvas) rect(x, y, width, height float64, color string) {
	fmt.Fprintf(&c.body, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"/>`+"\n", x, y, width, height, color)
}

// point is a place on a canvas.
type point struct{ x, y float64 }

// curve connects points, each with a dot. dashes is as in stroke-dasharray.
func (c *canvas) curve(points []point, color, dashes string) {
	var b strings.Builder
	for _, p := range points {
		fmt.Fprintf(&b, "%.1f,%.1f ", p.x, p.y)
		fmt.Fprintf(&c.body, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", p.x, p.y, color)
	}
	fmt.Fprintf(&c.body, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n",
		strings.TrimSpace(b.String()), color, dashes)
}

// svg returns the whole picture. title is what a reader hears who sees no pictures.
func (c *canvas) svg(title string) []byte {
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s">
<style>%s</style>
%s</svg>
`, c.width, c.height, c.width, c.height, html.EscapeString(title), style, c.body.String())
}
