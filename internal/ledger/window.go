package ledger

import (
	"encoding/binary"
	"time"
)

const secondsPerDay = 24 * 60 * 60

// day counts UTC days since 1970.
type day uint32

func dayOf(t time.Time) day { return day(max(0, t.Unix()) / secondsPerDay) }

func (d day) start() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// Window is a day or a month in UTC.
type Window struct {
	first day
	month bool
}

func (d day) day() Window { return Window{first: d} }

func (d day) month() Window {
	return Window{first: d - day(d.start().Day()-1), month: true}
}

// Month says whether the window is a month; else it is a day.
func (w Window) Month() bool { return w.month }

// Start is the window's first instant.
func (w Window) Start() time.Time { return w.first.start() }

// End is the first instant after the window.
func (w Window) End() time.Time {
	if w.month {
		return w.Start().AddDate(0, 1, 0)
	}
	return w.Start().AddDate(0, 0, 1)
}

// String is "2026-11-21" or "2026-11".
func (w Window) String() string {
	if w.month {
		return w.Start().Format("2006-01")
	}
	return w.Start().Format(time.DateOnly)
}

// within bounds t to the window.
func (w Window) within(t time.Time) time.Time {
	if t.Before(w.Start()) {
		return w.Start()
	}
	if last := w.End().Add(-1); t.After(last) {
		return last
	}
	return t
}

// accountKey names an account: a user's, or everyone's under no name.
type accountKey struct {
	window Window
	user   string
}

// accountsOf are the accounts that one request is charged to.
func accountsOf(d day, user string) [4]accountKey {
	today, month := d.day(), d.month()
	return [4]accountKey{{today, ""}, {month, ""}, {today, user}, {month, user}}
}

// append writes the key so that old months come first in the file, and a user's
// two accounts lie side by side: one page to write instead of two.
func (k accountKey) append(to []byte) []byte {
	month, kind := k.window.first, byte('m')
	if !k.window.month {
		month, kind = month.month().first, 'd'
	}
	to = append(binary.BigEndian.AppendUint32(to, uint32(month)), k.user...)
	return binary.BigEndian.AppendUint32(append(to, kind), uint32(k.window.first))
}
