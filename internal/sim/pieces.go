package sim

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// divide cuts a text into the chunks of a stream: words, unless told otherwise, or
// what is like a token where there are no words.
func (b *Behaviour) divide(text string, isJSON bool) []string {
	switch {
	case b.Bytes > 0:
		return every(text, b.Bytes)
	case isJSON && b.Chunks == 0:
		return every(text, 6)
	}
	words := make([]string, 0, strings.Count(text, " ")+1)
	for start := 0; start < len(text); {
		end := strings.IndexByte(text[start+1:], ' ')
		if end < 0 {
			end = len(text) - start - 1
		}
		words = append(words, text[start:start+1+end])
		start += 1 + end
	}
	switch n := b.Chunks; {
	case n == 0:
		return words
	case len(words) < n:
		return evenly(text, n)
	default:
		groups, from := make([]string, n), 0
		for i := range groups {
			to := from
			for _, w := range words[i*len(words)/n : (i+1)*len(words)/n] {
				to += len(w)
			}
			groups[i], from = text[from:to], to
		}
		return groups
	}
}

// every cuts a text after n bytes or where the character ends.
func every(text string, n int) []string {
	pieces := make([]string, 0, len(text)/n+1)
	for text != "" {
		piece := cutTo(text, n)
		if piece == "" { // one character is larger
			_, size := utf8.DecodeRuneInString(text)
			piece = text[:size]
		}
		pieces = append(pieces, piece)
		text = text[len(piece):]
	}
	return pieces
}

// evenly cuts a text into n pieces, or one per character if there are fewer.
func evenly(text string, n int) []string {
	characters := utf8.RuneCountInString(text)
	n = min(n, characters)
	pieces := make([]string, 0, n)
	from, passed := 0, 0
	for i := range text {
		if passed > 0 && passed == (len(pieces)+1)*characters/n {
			pieces = append(pieces, text[from:i])
			from = i
		}
		passed++
	}
	if from < len(text) {
		pieces = append(pieces, text[from:])
	}
	return pieces
}

// poison puts into the text what must not be relayed.
func (c *call) poison(pieces []string) []string {
	var bad []string
	switch c.b.Leak {
	case "whole":
		bad = []string{c.key}
	case "split":
		bad = []string{c.key[:c.b.Split], c.key[c.b.Split:]}
	case "bytes":
		bad = strings.Split(c.key, "")
	}
	if c.b.Fault == InvalidUTF8 {
		bad = append(bad, " \xff\xfe\xc3( \xed\xa0\x80 ")
	}
	return slices.Insert(pieces, min(1, len(pieces)), bad...)
}

// trim keeps the first room bytes; a negative room is endless.
func trim(pieces []string, room int) ([]string, string) {
	text := strings.Join(pieces, "")
	if room < 0 || len(text) <= room {
		return pieces, text
	}
	left := room
	for i, piece := range pieces {
		if len(piece) >= left {
			pieces[i] = cutTo(piece, left)
			if pieces[i] == "" {
				i--
			}
			pieces = pieces[:i+1]
			break
		}
		left -= len(piece)
	}
	return pieces, strings.Join(pieces, "")
}

// cutTo cuts a text to n bytes at most, between characters; a negative n is endless.
func cutTo(text string, n int) string {
	if n < 0 || len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// oneLine makes all white space single blanks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// shorten cuts a text to n characters and shows that it did.
func shorten(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i] + "…"
		}
		n--
	}
	return text
}
