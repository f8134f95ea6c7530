// SPDX-License-Identifier: Apache-2.0

//go:build !race

package harness

// raceDetector is true when the tests run with the race detector; the daemon
// that they start is then built with it too.
const raceDetector = false
