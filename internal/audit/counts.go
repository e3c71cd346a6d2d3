package audit

// Counts is how many records were written since the start, and how many were lost.
func (l *Log) Counts() (written, lost int64) {
	return l.queue.written.Load(), l.queue.missed.Load()
}
