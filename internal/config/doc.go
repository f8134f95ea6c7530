// SPDX-License-Identifier: Apache-2.0

// Package config turns what the operator wrote, a YAML file, an ndppd.conf or
// flags, into uplinks and rules. Every error names the file, line and column, the path of
// the key and, where it can, the fix; all errors of a file come at once.
//
// The commands call it at start, and the daemon again on each reload. Its
// functions may be called from any goroutine.
package config
