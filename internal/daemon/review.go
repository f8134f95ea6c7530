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

// reviewed lets only those through whom the API server lets read the page, where
// the configuration asks for that.
func (d *daemon) reviewed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e, _ := d.metricsPage.get(); !e.Review {
			h.ServeHTTP(w, r)
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "send the bearer token of an account that may get the non-resource URL "+r.URL.Path, http.StatusUnauthorized)
			return
		}
		reviewer := d.reviewer.Load()
		if reviewer == nil { // the reload before this one had no cluster
			http.Error(w, "no API server to ask about the token", http.StatusServiceUnavailable)
			return
		}
		allowed, err := reviewer.Allowed(r.Context(), token, r.URL.Path)
		switch {
		case err != nil:
			d.supervisor.fault("review a token", err)
			http.Error(w, "the token cannot be reviewed now", http.StatusServiceUnavailable)
		case !allowed:
			http.Error(w, "the token is not one of an account that may get the non-resource URL "+r.URL.Path, http.StatusForbidden)
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
