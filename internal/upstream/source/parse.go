package source

import "keyshield/internal/secret"

// Parse reads keys as every source does: one per line, with comments from a # on, or
// separated by commas, or a JSON object. Its errors hold nothing of what was read.
func Parse(payload []byte) ([]secret.String, error) { return parse(payload) }
