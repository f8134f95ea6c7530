// SPDX-License-Identifier: Apache-2.0

package web

import (
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// fastPath makes the metrics of the way that an uplink answers.
func (c *collector) fastPath(out sink, u *uplink.Facts) {
	d, name := c.descriptions, u.Config.Interface
	for _, k := range ndp.Kinds() {
		out.counter(d.fastAnswers, u.Counters.ByProgram[k].Load(), name, k.String())
	}
	if !u.Path.Since.IsZero() {
		out.gauge(d.fastInfo, 1, name, u.Path.Way.String(), u.Path.Hook)
	}
	out.gauge(d.fastLines, float64(u.Path.Lines), name)
	out.gauge(d.fastInherited, float64(u.Path.Inherited), name)
	out.counter(d.fastLost, u.Counters.RecordsLost.Load(), name)
}
