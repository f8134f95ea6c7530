// SPDX-License-Identifier: Apache-2.0

// Package kubernetes tests the daemon against a real control plane.
//
// Each test has a control plane of its own. Those that bound how long something is lost
// run alone; the others run side by side.
package kubernetes
