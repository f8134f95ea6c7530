// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// certificateLife is how long a certificate that was made up holds. It is made
// anew at each start, and proves nothing: whoever asks should not verify it.
const certificateLife = 10 * 365 * 24 * time.Hour

// reviewed lets only those through whom the API server lets read the page.
func (d *daemon) reviewed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(code int, why string) {
			w.Header().Set("Connection", "close") // whoever is refused keeps no connection from others
			http.Error(w, why, code)
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(http.StatusUnauthorized, "send the bearer token of an account that may get the non-resource URL "+r.URL.Path)
			return
		}
		reviewer := d.reviewer.Load()
		if reviewer == nil { // a reload is just taking the page away
			refuse(http.StatusServiceUnavailable, "no API server to ask about the token")
			return
		}
		allowed, err := reviewer.Allowed(r.Context(), token, r.URL.Path)
		switch {
		case err != nil:
			d.supervisor.fault("review a token", err)
			refuse(http.StatusServiceUnavailable, "the token cannot be reviewed now")
		case !allowed:
			refuse(http.StatusForbidden, "the token is not one of an account that may get the non-resource URL "+r.URL.Path)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// selfSigned makes a certificate up.
func selfSigned(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "ndproxyd"}, DNSNames: []string{"ndproxyd"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
