// SPDX-License-Identifier: Apache-2.0

// Package measure holds benchmarks of the daemon against a real API server: how
// soon a pod and a service are answered for, how long the addresses of a node
// that dies go without an answer, and what a large cluster costs an agent. They
// report figures, and fail only for what must never happen.
//
//	make control-plane && cd test/kubernetes && go test -run '^$' -bench . -benchtime 1x -timeout 60m ./measure
package measure
