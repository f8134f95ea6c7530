// SPDX-License-Identifier: Apache-2.0

package fastpath

// WithoutTCX has the kernel used as one before Linux 6.6.
func (o Options) WithoutTCX() Options { o.withoutTCX = true; return o }

// Blind has nothing looked at before the program is attached.
func (o Options) Blind() Options { o.blind = true; return o }
