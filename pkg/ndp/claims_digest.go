// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"time"
)

// claimDigest is how often what became of claims is worth a line in the log: a
// flood of forged ones fills no disk.
const claimDigest = time.Minute

// ClaimDigest tells what became of the claims of an uplink since the last one.
type ClaimDigest struct {
	// Begun counts addresses with a first sign, and Refused those for which
	// there was no room.
	Begun, Refused uint64
	// Stood counts claims that were confirmed, and Ended those of them that no
	// longer stand.
	Stood, Ended uint64
	// Address and MAC are the last claim that was confirmed; Address is invalid
	// where none was.
	Address netip.Addr
	MAC     [6]byte
}

// any reports whether there is something to tell. Signs alone are not.
func (d ClaimDigest) any() bool { return d.Stood > 0 || d.Ended > 0 }

// Digest returns what has happened since the last digest, at most once a minute,
// and false while there is nothing to tell.
func (c *Claims) Digest(now time.Time) (ClaimDigest, bool) {
	if !c.digest.any() || now.Sub(c.digested) < claimDigest {
		return ClaimDigest{}, false
	}
	d := c.digest
	c.digest, c.digested = ClaimDigest{}, now
	return d, true
}
