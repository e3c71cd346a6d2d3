package policy

// Models is the whole table, for the test that checks it against itself.
func Models() []Model { return models }
