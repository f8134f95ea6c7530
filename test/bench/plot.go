// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// bar is one line of a chart of bars.
type bar struct {
	name  string
	value spread
	color string
}

// series is one line of a chart of lines: y over x.
type series struct {
	name, color, dashes string
	x, y                []float64
}

// colors of the systems: ours, others, and the bound that nothing exceeds.
var (
	colors = map[string]string{
		socketName: "#3b82f6", tcName: "#8b5cf6", xdpName: "#0d9488", xdpGenericName: "#db2777",
		ndppdName: "#d97706", kernelName: "#848d97", tcReflectorName: "#a8a29e", xdpReflectorName: "#a8a29e",
	}
	dashes = map[string]string{ndppdName: "6 3", kernelName: "2 3"}
)

// plot writes the pictures to a folder.
func plot(folder string, all []system, t table) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var speeds, costs []bar
	var losses []series
	for _, s := range all {
		rs := t[s.name]
		if s.sized || len(rs) == 0 {
			continue
		}
		speeds = append(speeds, bar{s.name, spreadOf(rs, answers), colors[s.name]})
		costs = append(costs, bar{s.name, spreadOf(rs, cpu), colors[s.name]})
		if s.name == xdpName || s.name == xdpReflectorName {
			speeds = append(speeds, bar{s.name + ", XDP frames", spreadOf(rs, frameAnswers), colors[s.name]})
			costs = append(costs, bar{s.name + ", XDP frames", spreadOf(rs, frameCPU), colors[s.name]})
		}
		if s.reflects {
			continue
		}
		line := series{name: s.name, color: colors[s.name], dashes: dashes[s.name]}
		for i := range sweep {
			line.x = append(line.x, spreadOf(rs, func(r result) float64 { return r.offered[i] }).median)
			line.y = append(line.y, spreadOf(rs, lossAt(i)).median)
		}
		losses = append(losses, line)
	}
	for name, picture := range map[string][]byte{
		"answers.svg": bars("Answers a second", speeds, count),
		"cpu.svg":     bars("The node's processor time an answer, µs", costs, func(v float64) string { return fmt.Sprintf("%.2f", v) }),
		"loss.svg":    lines("Solicitations lost, %, over the rate offered a second", losses),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), picture, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// count writes a number as 1.2 M or 350 k.
func count(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3g k", v/1e3)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

// The measures of the charts.
const (
	chartWidth = 720.0
	nameWidth  = 210.0
	valueWidth = 60.0
	barHeight  = 16.0
	barStep    = 26.0
	titleSpace = 40.0
)

// bars draws a bar for each median, with a line from the minimum to the maximum.
func bars(title string, all []bar, write func(float64) string) []byte {
	c := &canvas{width: chartWidth, height: titleSpace + barStep*float64(len(all)) + 12}
	c.text(8, 20, left, "title", title)
	top := 0.0
	for _, b := range all {
		top = max(top, b.value.max)
	}
	scale := (chartWidth - nameWidth - valueWidth) / max(top, math.SmallestNonzeroFloat32)
	for i, b := range all {
		y := titleSpace + barStep*float64(i)
		c.text(nameWidth-8, y+12, right, "", b.name)
		c.rect(nameWidth, y, max(1, b.value.median*scale), barHeight, b.color)
		c.line(nameWidth+b.value.min*scale, y+barHeight/2, nameWidth+b.value.max*scale, y+barHeight/2, "range")
		c.text(nameWidth+b.value.max*scale+6, y+12, left, "faint", write(b.value.median))
	}
	return c.svg(title)
}

// lines draws each series, with a logarithmic scale of x and from 0 to 100 of y.
func lines(title string, all []series) []byte {
	const (
		x0, x1 = 44.0, chartWidth - 28
		y0, y1 = 330.0, 90.0
	)
	c := &canvas{width: chartWidth, height: 360}
	c.text(8, 20, left, "title", title)
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range all {
		for _, x := range s.x {
			low, high = min(low, x), max(high, x)
		}
	}
	at := func(x, y float64) point {
		share := 0.5
		if high > low {
			share = math.Log(x/low) / math.Log(high/low)
		}
		return point{x0 + share*(x1-x0), y0 + min(max(y, 0), 100)/100*(y1-y0)}
	}
	for y := 0.0; y <= 100; y += 25 {
		p := at(low, y)
		c.line(x0, p.y, x1, p.y, "grid")
		c.text(x0-8, p.y+4, right, "faint", fmt.Sprintf("%.0f", y))
	}
	for _, rate := range sweep {
		if x := float64(rate); x >= low*0.99 && x <= high*1.01 {
			p := at(min(max(x, low), high), 0)
			c.line(p.x, y0, p.x, y1, "grid")
			c.text(p.x, y0+18, middle, "faint", count(x))
		}
	}
	for i, s := range all {
		// Three to a row above the lines.
		x, y := 8+float64(i%3)*235, 44+float64(i/3)*20
		c.curve([]point{{x, y - 4}, {x + 24, y - 4}}, s.color, s.dashes)
		c.text(x+32, y, left, "", s.name)
		var points []point
		for j := range s.x {
			points = append(points, at(s.x[j], s.y[j]))
		}
		c.curve(points, s.color, s.dashes)
	}
	return c.svg(title)
}
