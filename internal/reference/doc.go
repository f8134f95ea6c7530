// SPDX-License-Identifier: Apache-2.0

// Package reference makes the tables of the documentation, and the commented
// configuration file of the packages, of what the code says of its keys and
// metrics. Its test holds the files to it; "make reference" writes them anew. It is
// pure, and nothing of the daemon calls it.
package reference
