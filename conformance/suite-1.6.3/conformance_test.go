// Package conformance runs the official Gateway API conformance suite v1.6.3 as it is published.
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
