// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"net/http"
	"testing"
	"testing/synctest"

	"k8s.io/client-go/rest"
)

// setServer answers for one DaemonSet, and what the account may do.
type setServer struct {
	sets    []int // HTTP status, for one question after the other
	deleted bool
	reviews int // HTTP status
	allowed bool
	asked   int
}

// RoundTrip implements [http.RoundTripper].
func (s *setServer) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Path {
	case "/apis/apps/v1/namespaces/system/daemonsets/ndproxyd":
		code := s.sets[min(s.asked, len(s.sets)-1)]
		s.asked++
		if code != http.StatusOK {
			return status(r, code), nil
		}
		metadata := map[string]any{"name": "ndproxyd"}
		if s.deleted {
			metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
		}
		return answer(r, code, map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}), nil
	case "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
		if s.reviews != http.StatusCreated {
			return status(r, s.reviews), nil
		}
		return answer(r, s.reviews, map[string]any{
			"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "status": map[string]any{"allowed": s.allowed},
		}), nil
	}
	return status(r, http.StatusTeapot), nil
}

// TestDaemonSet reads what the answers of an API server mean.
func TestDaemonSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server setServer
		want   Presence
		fails  bool
	}{
		"there":                             {server: setServer{sets: []int{200}}, want: Present},
		"not there":                         {server: setServer{sets: []int{404}}, want: Deleted},
		"about to be deleted":               {server: setServer{sets: []int{200}, deleted: true}, want: Deleted},
		"forbidden":                         {server: setServer{sets: []int{403}, reviews: 201}, want: Refused},
		"forbidden by a server that starts": {server: setServer{sets: []int{403}, reviews: 403}, fails: true},
		"forbidden a moment ago":            {server: setServer{sets: []int{403}, reviews: 201, allowed: true}, fails: true},
		"an account that is gone":           {server: setServer{sets: []int{401}}, want: Unknown},
		"an account that is known again":    {server: setServer{sets: []int{401, 200}}, want: Present},
		"a server with a fault":             {server: setServer{sets: []int{500}}, fails: true},
		"a server without an answer later":  {server: setServer{sets: []int{401, 503}}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, err := connect(&rest.Config{Host: "http://server"}, &http.Client{Transport: &c.server})
				if err != nil {
					t.Fatal(err)
				}
				got, err := client.DaemonSet(t.Context(), "system", "ndproxyd")
				if (err != nil) != c.fails || err == nil && got != c.want {
					t.Errorf("it is %d, %v", got, err)
				}
			})
		})
	}
}
