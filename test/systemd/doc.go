// SPDX-License-Identifier: Apache-2.0

// Package systemd runs the packages under a real systemd: a container of
// systemd-nspawn with Debian's root, whose uplink is one end of a link to a router.
// "make test-full" builds what it needs, and runs it with the tag full.
package systemd
