// SPDX-License-Identifier: Apache-2.0

// Package monitoring scrapes a daemon with a real Prometheus, makes the alerts fire,
// and asks every query of the dashboard. "make test-full" builds what it needs, and
// runs it with the tag full.
package monitoring
