// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rounds makes figures up: system i of n rounds.
func rounds(i, n int) []result {
	var out []result
	for round := range n {
		f := float64(i+1) * (1 + float64(round)/10)
		r := result{closed: speed{1e5 * f, 20 / f, 10 / f}, frames: speed{2e5 * f, 2 / f, 1 / f}, median: time.Duration(f * 1e4), memory: 20_000}
		r.flood = flood{offered: 8e5, answers: 1e5 * f, loss: 0.9 / f, median: time.Duration(f * 1e5)}
		for _, rate := range sweep {
			r.offered, r.loss = append(r.offered, float64(rate)), append(r.loss, min(1, float64(rate)/8e5/f))
		}
		out = append(out, r)
	}
	return out
}

func measured(n int) ([]system, table) {
	all, t := systems("ndproxyd", "ndppd"), make(table)
	for i, s := range all {
		t[s.name] = rounds(i, n)
		if s.sized {
			for j := range t[s.name] {
				t[s.name][j].offered, t[s.name][j].loss = nil, nil
			}
		}
	}
	return all, t
}

func TestPlots(t *testing.T) {
	nothing := func() ([]system, table) {
		all, figures := measured(1)
		for _, s := range all {
			loss := figures[s.name][0].loss
			clear(loss)
			figures[s.name][0] = result{offered: make([]float64, len(loss)), loss: loss}
		}
		return all, figures
	}
	for _, test := range []struct {
		name string
		make func() ([]system, table)
	}{
		{"five rounds", func() ([]system, table) { return measured(5) }},
		{"one round", func() ([]system, table) { return measured(1) }},
		{"all zero", nothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, figures := test.make()
			folder := filepath.Join(t.TempDir(), "plots")
			if err := plot(folder, all, figures); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"answers.svg", "cpu.svg", "loss.svg"} {
				b, err := os.ReadFile(filepath.Join(folder, name))
				if err != nil {
					t.Fatal(err)
				}
				if len(b) > 16<<10 {
					t.Errorf("%s has %d octets", name, len(b))
				}
				if !strings.Contains(string(b), "prefers-color-scheme:dark") {
					t.Errorf("%s has one set of colors", name)
				}
				for _, s := range all {
					if drawn := !s.sized && (name != "loss.svg" || !s.reflects); drawn != strings.Contains(string(b), ">"+s.name+"<") {
						t.Errorf("%s: %q is in it: %v", name, s.name, !drawn)
					}
				}
				inside(t, name, b)
			}
		})
	}
}

// inside fails the test unless it is well-formed and draws within its edges.
func inside(t *testing.T, name string, b []byte) {
	t.Helper()
	var width, height float64
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return v
	}
	check := func(v, most float64) {
		if !(v >= 0 && v <= most) { // also what is no number
			t.Errorf("%s draws at %v of %v", name, v, most)
		}
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "width":
				if e.Name.Local == "svg" {
					width = number(a.Value)
				} else {
					check(number(a.Value), width)
				}
			case "height":
				if e.Name.Local == "svg" {
					height = number(a.Value)
				}
			case "x", "x1", "x2", "cx":
				check(number(a.Value), width)
			case "y", "y1", "y2", "cy":
				check(number(a.Value), height)
			case "points":
				for p := range strings.FieldsSeq(a.Value) {
					x, y, _ := strings.Cut(p, ",")
					check(number(x), width)
					check(number(y), height)
				}
			}
		}
	}
}

func TestTables(t *testing.T) {
	all, figures := measured(3)
	var b strings.Builder
	report(&b, all, figures)
	compare(&b, figures)
	columns := 0
	for line := range strings.Lines(b.String()) {
		n := strings.Count(line, "|")
		if n == 0 {
			columns = 0
			continue
		}
		if columns == 0 {
			columns = n
		}
		if n != columns {
			t.Errorf("a row of %d columns in a table of %d: %s", n-1, columns-1, line)
		}
	}
	for _, s := range all {
		if !strings.Contains(b.String(), "| "+s.name+" |") {
			t.Errorf("no row of %q", s.name)
		}
	}
	for _, g := range goals() {
		if !strings.Contains(b.String(), "| "+g.what+" |") {
			t.Errorf("no row of %q", g.what)
		}
	}
}

func TestGoalMet(t *testing.T) {
	for _, test := range []struct {
		name string
		goal goal
		got  float64
		met  bool
	}{
		{"at least, reached", goal{atLeast: true, bound: 2}, 2, true},
		{"at least, missed", goal{atLeast: true, bound: 2}, 1.9, false},
		{"at most, kept", goal{bound: 2}, 2, true},
		{"at most, exceeded", goal{bound: 2}, 2.1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if met := test.goal.met(spread{0, test.got, 9}); met != test.met {
				t.Errorf("met is %v", met)
			}
		})
	}
}
