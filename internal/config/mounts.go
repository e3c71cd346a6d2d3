package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	id, parent int
	root       string // what of the file system is mounted
	point      string // where
	kind       string // ext4, overlay, …
}

// mountOf finds the mount on which path lies, or will once it is made.
func mountOf(mountinfo, path string) (mount, error) {
	content, err := os.ReadFile(mountinfo)
	if err != nil {
		return mount{}, err
	}
	path, err = existing(path)
	if err != nil {
		return mount{}, err
	}
	at, ok := crossed(parseMounts(string(content)), path)
	if !ok {
		return mount{}, errors.New("there is no mount to begin with")
	}
	return at, nil
}

// existing is the part of path that there is, without symbolic links.
func existing(path string) (string, error) {
	for {
		real, err := filepath.EvalSymlinks(path)
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return real, err
		}
		path = filepath.Dir(path)
	}
}

// parseMounts reads the lines that it understands.
func parseMounts(text string) (all []mount) {
	for line := range strings.Lines(text) {
		place, device, ok := strings.Cut(line, " - ") // an unknown number of optional fields stands before it
		fields, kind := strings.Fields(place), strings.Fields(device)
		if !ok || len(fields) < 6 || len(kind) < 1 {
			continue
		}
		id, err := strconv.Atoi(fields[0])
		parent, err2 := strconv.Atoi(fields[1])
		if err == nil && err2 == nil {
			all = append(all, mount{id, parent, unescaped(fields[3]), unescaped(fields[4]), kind[0]})
		}
	}
	return all
}

// unescaped undoes the kernel's \040 for a space, and its like.
func unescaped(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// crossed walks to path as the kernel does, from mount to mount: one may hide
// another that has the longer path.
func crossed(all []mount, path string) (at mount, ok bool) {
	ids := map[int]bool{}
	for _, m := range all {
		ids[m.id] = true
	}
	for _, m := range all {
		if m.point == "/" && (!ids[m.parent] || m.parent == m.id) {
			at, ok = m, true
		}
	}
	if !ok {
		return mount{}, false
	}
	for range all { // each is crossed at most once
		next := mount{}
		for _, m := range all {
			if m.parent == at.id && m.id != at.id && within(path, m.point) && (next.point == "" || len(m.point) < len(next.point)) {
				next = m
			}
		}
		if next.point == "" {
			break
		}
		at = next
	}
	return at, true
}

func within(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

// forgets says why what lies on m does not outlive a deploy, if it does not. What
// is mounted at / is the container's own.
func (m mount) forgets() string {
	switch {
	case strings.Contains(m.root, "/kubernetes.io~empty-dir/"):
		return "an emptyDir, which is gone with its pod"
	case m.kind == "tmpfs" || m.kind == "ramfs" || m.kind == "rootfs" || m.kind == "devtmpfs":
		return m.kind + ", which is memory"
	case m.point == "/" || m.kind == "overlay" || m.kind == "aufs":
		return "the container's own disk (" + m.kind + ")"
	}
	return ""
}

// remote says whether other machines can see what lies on m, or a program in
// between decides what a sync is: the ledger refuses such.
func (m mount) remote() bool {
	switch kind, _, _ := strings.Cut(m.kind, "."); kind {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "fuse", "fuseblk", "virtiofs":
		return true
	}
	return false
}
