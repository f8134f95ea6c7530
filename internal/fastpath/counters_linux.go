// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// count adds what the program has counted since the last call, of whichever process.
func (p *Program) count(to *ndp.Counters) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum, err := p.sum()
	if err != nil {
		return err
	}
	addCounts(to, &sum, &p.read)
	p.read = sum
	p.about.setCounts(&sum)
	return p.about.write(p.aboutMap)
}

// sum reads the counters, over all processors.
func (p *Program) sum() (programCounts, error) { return sumOf(p.objects.Counters) }

// sumOf reads a map of counters.
func sumOf(m *ebpf.Map) (sum programCounts, err error) {
	var each []programCounts
	if err := m.Lookup(uint32(0), &each); err != nil {
		return sum, fmt.Errorf("read the program's counters: %w", err)
	}
	for _, c := range each {
		sum.AnsweredMulticast += c.AnsweredMulticast
		sum.AnsweredUnicast += c.AnsweredUnicast
		sum.Redirected += c.Redirected
		sum.RecordsLost += c.RecordsLost
	}
	return sum, nil
}

// addCounts adds what was counted between two readings.
func addCounts(to *ndp.Counters, now, before *programCounts) {
	for kind, n := range map[ndp.Kind]uint64{
		ndp.Multicast: now.AnsweredMulticast - before.AnsweredMulticast,
		ndp.Unicast:   now.AnsweredUnicast - before.AnsweredUnicast,
	} {
		to.Received[kind].Add(n)
		to.Answered[kind].Add(n)
		to.ByProgram[kind].Add(n)
	}
	to.Redirected.Add(now.Redirected - before.Redirected)
	to.RecordsLost.Add(now.RecordsLost - before.RecordsLost)
}
