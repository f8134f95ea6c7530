// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// framesVariable names the variable of the environment with the number of frames of
// TestDifferential, and fewFrames is that number without it.
const (
	framesVariable = "NDPROXYD_FRAMES"
	fewFrames      = 40_000
	worlds         = 10_000 // of rules, links and settings, at most; each takes some milliseconds to set
	framesInWorld  = 2_000  // at least
)

// TestDifferential puts random frames to the program and to Respond, with random rules,
// links and settings: the same octets, or the frame is passed up.
func TestDifferential(t *testing.T) {
	frames := fewFrames
	if s := os.Getenv(framesVariable); s != "" {
		var err error
		frames, err = strconv.Atoi(s)
		must(t, err)
	}
	t.Parallel()
	runners := runtime.GOMAXPROCS(0)
	inWorld := max(framesInWorld, frames/worlds)
	for n := range runners {
		t.Run(fmt.Sprint("runner ", n), func(t *testing.T) {
			t.Parallel()
			p := newProgram(t)
			seed := rand.Uint64()
			w := &world{Rand: rand.New(rand.NewPCG(seed, 0))}
			answered := 0
			for range max(1, frames/runners/inWorld) {
				table, err := rules.Compile(w.rules())
				must(t, err)
				p.set(t, w.link(), w.uplink(), table.View("uplink"))
				err = p.node.Do(func() error {
					for range inWorld {
						frame, meta := w.frame()
						if err := p.differs(frame, meta); err != nil {
							return fmt.Errorf("%w; uplink %+v", err, p.iface.Facts())
						}
						if p.answers(frame, meta) {
							answered++
						}
					}
					return nil
				})
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			if answered == 0 {
				t.Errorf("seed %d: no frame is one that the program has to answer", seed)
			}
			t.Logf("seed %d: %d frames that the program has to answer", seed, answered)
		})
	}
}

// answers reports whether the program has to answer a frame.
func (p *program) answers(frame []byte, meta ndp.Meta) bool {
	var reply ndp.Advertisement
	var s ndp.Solicitation
	meta.Index = p.node.index
	return inKernel(frame, meta, ndp.Respond(&reply, &s, frame, meta, p.iface, p.view))
}

// FuzzProgram lets the fuzzer look for a frame that the program answers and Respond does
// not, or in another way. The number chooses rules, link and settings, each of which has a
// program of its own: to set them anew takes much longer than to run a frame.
func FuzzProgram(f *testing.F) {
	for _, c := range Cases() {
		if frame, meta := c.Frame.Received(index); meta.VLAN == 0 {
			f.Add(uint64(0), frame)
		}
	}
	const numbers = 16
	n := newNode(f)
	var programs [numbers]*program
	for number := range programs {
		programs[number] = numbered(f, n, uint64(number))
	}
	f.Fuzz(func(t *testing.T, number uint64, frame []byte) {
		if len(frame) < shortest || len(frame) > longestRun {
			return
		}
		programs[number%numbers].check(t, frame, received(frame))
	})
}

// numbered loads a program that answers by the table's rules, or by those of a number.
func numbered(f *testing.F, n *node, number uint64) *program {
	f.Helper()
	all, link, uplink := Rules(), Link(index), rules.Uplink{Interface: "uplink"}
	if number > 0 {
		w := &world{Rand: rand.New(rand.NewPCG(number, 0))}
		all, link, uplink = w.rules(), w.link(), w.uplink()
	}
	table, err := rules.Compile(all)
	must(f, err)
	p := newProgramOn(f, n)
	p.set(f, link, uplink, table.View("uplink"))
	return p
}
