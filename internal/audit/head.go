package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"keyshield/internal/disk"
)

const headName = "head"

// head is the file that names the last line that is surely on disk, so that lines
// cut off the end are missed. It is replaced as a whole.
type head struct {
	dir string

	mu sync.Mutex
	at link
}

func (h *head) names(l link) bool { return h.last() == l }

func (h *head) last() link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

// forget is for a directory that was made anew.
func (h *head) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = link{}
}

// write names l unless a later line is named already.
func (h *head) write(l link) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.seq < h.at.seq {
		return nil
	}
	path := filepath.Join(h.dir, headName)
	if err := disk.Replace(path, formatHead(l)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	h.at = l
	return nil
}

func formatHead(l link) []byte {
	text := append([]byte(nil), `{"seq":`...)
	text = strconv.AppendInt(text, l.seq, 10)
	text = append(text, `,"hash":"`...)
	text = hex.AppendEncode(text, l.hash[:])
	return append(text, "\"}\n"...)
}

var errHead = errors.New("head is damaged: it does not name a line")

// readHead is the line that head names. A missing file is os.ErrNotExist.
func readHead(dir string) (link, error) {
	text, err := os.ReadFile(filepath.Join(dir, headName))
	if err != nil {
		return link{}, err
	}
	rest, ok1 := strings.CutPrefix(string(text), `{"seq":`)
	number, rest, ok2 := strings.Cut(rest, `,"hash":"`)
	hash, ok3 := strings.CutSuffix(rest, "\"}\n")
	seq, err := strconv.ParseInt(number, 10, 64)
	l, ok4 := parseLink(seq, hash)
	if !ok1 || !ok2 || !ok3 || !ok4 || err != nil || seq < 0 || strconv.FormatInt(seq, 10) != number {
		return link{}, errHead
	}
	return l, nil
}
