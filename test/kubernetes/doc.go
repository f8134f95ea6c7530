// SPDX-License-Identifier: Apache-2.0

// Package kubernetes tests the daemon against a real control plane.
package kubernetes
