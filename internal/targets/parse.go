// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// MaxTargets is how many lines with a target a file may have, and maxSize how
	// many octets. What is beyond them is left out, and is a fault.
	MaxTargets = 1_000_000
	maxSize    = 64 << 20
	// maxLine is how many octets of a line are looked at. A longer line is a fault,
	// unless it is a comment.
	maxLine = 4096
	// buffered is how much is read at a time.
	buffered = 1 << 16
	// maxFaults is how many faults of a file are kept word by word. The rest is
	// counted.
	maxFaults = 10
	// maxQuoted is how much of a wrong line is shown, in octets.
	maxQuoted = 60
)

// errNotText is the fault of a file as a whole: nothing in it can be believed.
var errNotText = errors.New("is not a text file: it has NUL octets")

// Reading is what a file has said.
type Reading struct {
	targets list
	// last is the target of a last line without line break, which a writer may not
	// have written to its end.
	last    target
	hasLast bool
	// lastFault is what is wrong with such a line.
	lastFault *Fault
	// Faults are the first lines that do not count, in their order, and Wrong is how
	// many there are.
	Faults []Fault
	Wrong  int
	sum    uint64 // of the octets, to tell whether the content has changed
}

// Fault is a line that does not count.
type Fault struct {
	Line int
	// Text says what is wrong, and how to correct it.
	Text string
}

func (r *Reading) fault(line int, format string, args ...any) {
	if r.Wrong++; len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, Fault{line, fmt.Sprintf(format, args...)})
	}
}

// seed makes the sums of one process comparable.
var seed = maphash.MakeSeed()

// Parse reads a file of targets. A wrong line is a fault of the reading, and keeps
// no other line from counting. The error is about the file as a whole: it cannot be
// read, or is no text.
func Parse(from io.Reader) (Reading, error) { return parse(from, MaxTargets, maxSize) }

func parse(from io.Reader, most, size int) (Reading, error) {
	var (
		r     Reading
		found []target
		hash  maphash.Hash
	)
	hash.SetSeed(seed)
	limited := &io.LimitedReader{R: from, N: int64(size) + 1}
	in := bufio.NewReaderSize(limited, buffered)
	for n := 1; ; n++ {
		line, ended, err := readLine(in, &hash)
		if err != nil {
			return Reading{}, err
		}
		if limited.N <= 0 && !ended { // the line is cut off
			r.fault(n, "the file has more than %d octets: the rest is left out", size)
			break
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		p, text := parseLine(line)
		switch {
		case !ended && text != "":
			r.lastFault = &Fault{n, text}
		case !ended && p.IsValid():
			r.last, r.hasLast = newTarget(p, n), true
		case text != "":
			r.fault(n, "%s", text)
		case p.IsValid() && len(found) == most:
			r.fault(n, "the file has more than %d targets: the rest is left out", most)
			ended = false
		case p.IsValid():
			found = append(found, newTarget(p, n))
		}
		if !ended {
			break
		}
	}
	r.targets, r.sum = newList(found), hash.Sum64()
	return r, nil
}

// readLine returns a line without its line break, at most [buffered] octets of it,
// and whether there was a line break. The line is valid until the next call.
func readLine(in *bufio.Reader, hash *maphash.Hash) (line []byte, ended bool, err error) {
	for first := true; ; first = false {
		part, err := in.ReadSlice('\n')
		_, _ = hash.Write(part) // it never fails
		if bytes.IndexByte(part, 0) >= 0 {
			return nil, false, errNotText
		}
		if first {
			line = part
		}
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		case first:
			line = bytes.Clone(part)
		}
	}
}

// parseLine returns what a line names, the zero Prefix for nothing, and what is wrong
// with it.
func parseLine(line []byte) (netip.Prefix, string) {
	content, _, _ := bytes.Cut(line, []byte("#"))
	content = bytes.TrimSpace(content)
	switch {
	case len(content) == 0:
		return netip.Prefix{}, ""
	case len(line) > maxLine:
		return netip.Prefix{}, fmt.Sprintf("the line is longer than %d octets: write one address or prefix a line", maxLine)
	}
	s := string(content)
	if strings.ContainsAny(s, " \t,;") {
		return netip.Prefix{}, quote(s) + " is more than one word: write one address or prefix a line, and begin comments with #"
	}
	p, err := rules.ParsePrefix(s)
	switch {
	case err == nil:
		return p, ""
	case !p.IsValid() && len(s) > maxQuoted:
		return netip.Prefix{}, quote(s) + " is not an IPv6 address or prefix: correct the line or remove it"
	case !p.IsValid():
		return netip.Prefix{}, err.Error() + ": correct the line or remove it"
	case p.Addr().Is4():
		return netip.Prefix{}, err.Error() + ": remove the line"
	case p != p.Masked():
		return netip.Prefix{}, fmt.Sprintf("%s has host bits set: write %q for the address, or %q for all of the prefix", quote(s), p.Addr(), p.Masked())
	}
	return netip.Prefix{}, err.Error() + ": remove the line"
}

// quote shows the beginning of a text.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q...", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}
