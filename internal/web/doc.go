// SPDX-License-Identifier: Apache-2.0

// Package web serves the daemon's HTTP pages: metrics, health, readiness and an
// index for people. It also makes the certificate and has bearer tokens reviewed
// where the configuration asks for that.
//
// Package daemon makes a [Server], runs its tasks, and calls [Server.Configure]
// after each load of the configuration. Pages are served in a goroutine for each
// connection, which call [Daemon] at the same time. No page waits for Daemon
// longer than a few seconds, and nothing waits for a page.
//
// The addresses may be public, so everything is bounded. Connections and
// requests are counted by who makes them: root and the daemon's own user on this
// host, clients that have authenticated before, and everybody else have limits
// of their own, and among everybody else each client has a small one. A client at
// its limit loses its oldest connection that serves no request.
package web
