package ledger

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// networkFS names the file system of dir if it is one that we refuse.
func networkFS(dir string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return "", fmt.Errorf("file system of %s: %w", dir, err)
	}
	return networkName(uint32(fs.Type)), nil // the kernel's numbers have 32 bits, the field has not everywhere
}

func networkName(magic uint32) string {
	switch magic {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB"
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC:
		return "a network file system"
	}
	return ""
}

// forgetCached drops the file's clean pages. After a failed sync the kernel calls
// pages clean that never reached the disk; reading them back would be believing
// what was not written.
func forgetCached(path string) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED) // an advice: nothing depends on it being taken
}
