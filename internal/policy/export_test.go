package policy

import (
	"maps"
	"slices"
)

// Models is the whole table, for the test that checks it against itself.
func Models() []Model { return models }

// Priced are the ids that t lists for a kind.
func Priced(t *Table, k Kind) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.models)), func(id string) bool { return !t.Knows(id, k) })
}
