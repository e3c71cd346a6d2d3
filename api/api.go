// Package api holds the description of our HTTP interface.
package api

import _ "embed"

// Description is openapi.yaml, as GET /openapi.yaml serves it.
//
//go:embed openapi.yaml
var Description []byte
