// Package conformance runs the official Gateway API conformance suite v1.7.0 with one dependency replaced (see go.mod).
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
