// SPDX-License-Identifier: Apache-2.0

// Package targets follows files that list targets: addresses and prefixes, one a
// line, that a control panel or a script writes. What a file lists goes to the
// store as entries of [rules.Listed], for the rules whose method is file.
//
// [Parse] is pure. A [file] decides when what it reads counts, which is not always
// at once: a writer may be in the middle of its work. The [Follower] is the task: it
// runs a goroutine for each file, so that one on a file system that hangs delays no
// other, and one for inotify. Package daemon makes it. [Check] reads a file once,
// for the check command.
package targets
