// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// mostInstructions is half of what a verifier walks at most. Another kernel's may walk
// more of the same program.
const mostInstructions = 500_000

// TestVerifier has the verifier look for loads and stores that are not aligned, as it does
// on processors that cannot do these, and bounds how much it has to walk.
func TestVerifier(t *testing.T) {
	t.Parallel()
	spec, err := loadProgram()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range spec.Programs {
		p.Flags |= unix.BPF_F_STRICT_ALIGNMENT
	}
	var o programObjects
	if err := spec.LoadAndAssign(&o, nil); err != nil {
		t.Fatalf("%+v", err)
	}
	defer func() { _ = o.Close() }()
	for name, p := range map[string]*ebpf.Program{"tc": o.NdproxydTc, "xdp": o.NdproxydXdp} {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := info.VerifiedInstructions(); ok && n > mostInstructions { // Linux 5.16 and newer tell
			t.Errorf("%s: the verifier has walked %d instructions", name, n)
		}
	}
}
