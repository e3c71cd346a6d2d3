package main

import (
	"context"

	"keyshield/internal/audit"
	"keyshield/internal/ledger"
)

// orphans are calls that a dead process left open. How they ended nobody knows: each
// gets a line that says so, unless it has one. The ledger tells them, and then, before
// it forgets them, has them written; all on one goroutine.
type orphans []ledger.Orphan

// lastLines are as many of the newest lines as may hold one of a call that the ledger
// has open: a line is written just before its call is settled.
const lastLines = 20_000

// write gives those their line that have none in folder.
func (all *orphans) write(log *audit.Log, folder string) {
	if len(*all) == 0 {
		return
	}
	missing := make(map[string]bool, len(*all))
	for _, o := range *all {
		missing[o.ID] = true
	}
	// What of the log cannot be read has no line, as far as anybody knows.
	_ = audit.Search(context.Background(), folder, audit.Query{Kind: audit.Request, Limit: lastLines}, func(r audit.Record) error {
		delete(missing, r.ID)
		return nil
	})
	for _, o := range *all {
		if missing[o.ID] {
			delete(missing, o.ID) // it may have been told twice
			log.Request(&audit.Record{
				Time: o.At, Kind: audit.Request, ID: o.ID, User: o.User.ID, Issuer: o.User.Issuer, UserKey: o.User.Key, Model: o.Model,
				Outcome: audit.Unknown, Code: "crash", AtCeiling: o.Ceiling,
			}, false)
		}
	}
	*all = nil
}
