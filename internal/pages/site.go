package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed static/*.html static/assets static/licences
var static embed.FS

// policy is what the pages may do. Trusted Types leave no way to make HTML of a
// string, whatever a script tries.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// How long browsers keep a file.
const (
	fresh   = "no-cache"                            // ask whether it has changed
	forever = "public, max-age=31536000, immutable" // its path changes with its content
)

// site is a page with its files, by their paths.
type site struct {
	files map[string]*file
	page  *file
	moved string // the page's path without its slash; "" is none
}

// newSite reads a page, and puts the files that it needs under root, at a path with
// the hash of them all: what belongs together is never mixed with what a browser
// kept of an older version.
func newSite(root, page string) *site {
	assets, hash := assets()
	s := &site{files: map[string]*file{}}
	under := root + "assets/" + hash + "/"
	for name, f := range assets {
		s.add(under+name, f)
	}
	html := bytes.ReplaceAll(read("static/"+page), []byte("{{assets}}"), []byte(strings.TrimSuffix(under, "/")))
	s.page = newFile("text/html; charset=utf-8", html, fresh)
	return s
}

func (s *site) add(path string, f *file) { s.files[path] = f }

// assets are the scripts and style sheets, by their names.
func assets() (files map[string]*file, hash string) {
	files = map[string]*file{}
	all := sha256.New()
	entries, err := fs.ReadDir(static, "static/assets")
	if err != nil {
		panic("pages: " + err.Error())
	}
	for _, e := range entries { // sorted by name
		content := read("static/assets/" + e.Name())
		sum := sha256.Sum256(content)
		all.Write(sum[:])
		files[e.Name()] = newFile(kindOf(e.Name()), content, forever)
	}
	return files, hex.EncodeToString(all.Sum(nil)[:8])
}

func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	panic("pages: " + name + " is of no kind that is served")
}

// read has no other cause to fail than a name that is not embedded.
func read(name string) []byte {
	content, err := static.ReadFile(name)
	if err != nil {
		panic("pages: " + err.Error())
	}
	return content
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.moved != "" && r.URL.Path == s.moved {
		w.Header().Set("Location", s.moved+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	f := s.files[r.URL.Path]
	switch {
	case f == nil:
		refuse(w, http.StatusNotFound, "not_found", "There is no such page.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "A page can only be read.")
	default:
		f.serve(w, r)
	}
}

// Has reports whether there is something at path.
func (s *site) Has(path string) bool { return s.files[path] != nil || path == s.moved && path != "" }

// refuse answers as the server does, in the same shape.
func refuse(w http.ResponseWriter, status int, code, text string) {
	body, err := json.Marshal(struct {
		Error string `json:"error"`
		Code  string `json:"code"`
		ID    string `json:"request_id,omitempty"`
	}{text, code, w.Header().Get("X-Request-Id")})
	if err != nil {
		panic("pages: a refusal that is no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who does not listen any more need not be told
}

// file is served from memory, compressed once: when somebody first takes it so, as
// most servers of an API are never asked for a page.
type file struct {
	kind, keep string
	etag       string
	plain      []byte
	zipped     func() []byte
	secluded   bool // for others it is as if it were not there: no cache may serve it to them
}

func newFile(kind string, content []byte, keep string) *file {
	sum := sha256.Sum256(content)
	return &file{
		kind: kind, keep: keep, plain: content,
		zipped: sync.OnceValue(func() []byte { return compress(content) }),
		etag:   `W/"` + hex.EncodeToString(sum[:12]) + `"`, // weak: the same for both encodings
	}
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic("pages: " + err.Error()) // the level is a constant
	}
	_, _ = z.Write(content) // into memory: neither fails
	_ = z.Close()
	return b.Bytes()
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", f.keep)
	if f.secluded {
		h.Set("Cache-Control", "private, "+strings.TrimPrefix(f.keep, "public, "))
		h.Add("Vary", "Sec-Fetch-Dest")
	}
	h.Set("ETag", f.etag)
	h.Add("Vary", "Accept-Encoding")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if knows(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped()
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// knows says whether a browser has this version (RFC 9110 §13.1.2).
func knows(ifNoneMatch, etag string) bool {
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		if strings.TrimSpace(tag) == etag {
			return true
		}
	}
	return false
}

// takesGzip reads Accept-Encoding as far as browsers write it; who writes it
// otherwise gets plain bytes, which everybody takes.
func takesGzip(accept string) bool {
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, weighed := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			return !weighed || found && strings.Trim(q, "0.") != ""
		}
	}
	return false
}
