package config

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// table is how a container sees its mounts: an initial file system beneath the
// root, a volume, one that hides another, one on top of another, one that waits.
const table = `1 1 0:2 / / rw - rootfs rootfs rw
20 1 0:30 / / rw,relatime master:1 - overlay overlay rw
21 20 0:21 / /proc rw - proc proc rw
22 20 8:1 /volumes/v1 /data rw - ext4 /dev/sdb rw
23 22 0:40 / /data/cache rw - tmpfs tmpfs rw
24 20 8:2 / /srv/app/data rw - xfs /dev/sdc rw
25 20 0:41 / /srv/app rw - tmpfs tmpfs rw
26 22 8:3 / /data rw shared:9 propagate_from:2 - btrfs /dev/sdd rw
27 20 8:4 / /with\040space rw - ext4 /dev/sde rw
28 20 8:5 /var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/books /books rw - ext4 /dev/sdf rw
29 20 8:6 / /databank rw - zfs pool rw
`

func TestTheMountOfAPathIsTheKernels(t *testing.T) {
	for path, want := range map[string]int{
		"/":              20,
		"/etc":           20,
		"/data":          26, // mounted later, on top
		"/data/x":        26,
		"/data/cache":    26, // what was within is hidden by what is on top
		"/srv/app/data":  25, // hidden by what was mounted above it later
		"/srv/apple":     20,
		"/database":      20,
		"/databank/x":    29,
		"/with space/x":  27,
		"/books":         28,
		"/proc/self/map": 21,
	} {
		if at, ok := crossed(parseMounts(table), path); !ok || at.id != want {
			t.Errorf("%s lies on %+v, %t, want mount %d", path, at, ok, want)
		}
	}
	if why := parseMounts(table)[9].forgets(); why != "an emptyDir, which is gone with its pod" {
		t.Errorf("an emptyDir forgets: %q", why)
	}
}

// TestThisMachinesTableIsRead holds us against the kernel that runs the test.
func TestThisMachinesTableIsRead(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has such a table")
	}
	at, err := mountOf("/proc/self/mountinfo", filepath.Join(t.TempDir(), "not", "there"))
	if err != nil || at.kind == "" {
		t.Errorf("a temporary folder: %+v, %v", at, err)
	}
	if at, err := mountOf("/proc/self/mountinfo", "/proc/self/status"); err != nil || at.kind != "proc" {
		t.Errorf("/proc: %+v, %v", at, err)
	}
}

func TestADanglingPathIsFollowedAsFarAsItGoes(t *testing.T) {
	dir := t.TempDir()
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("there", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a/b/c": real, "link": real, "link/x": real, ".": real} {
		if got, err := existing(filepath.Join(dir, path)); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add(table, "/data/x")
	f.Add("1 2 0:1 / / rw - ext4 x rw\n2 1 0:1 / / rw - ext4 x rw\n", "/") // each other's parent
	f.Add("5 5 0:1 / / rw - ext4 x rw\n5 5 0:1 / /a rw - tmpfs x rw\n", "/a")
	f.Fuzz(func(t *testing.T, text, path string) {
		at, ok := crossed(parseMounts(text), path)
		if ok && !within(path, at.point) {
			t.Fatalf("%q is said to lie on %q", path, at.point)
		}
		if !ok && at != (mount{}) {
			t.Fatalf("no mount, and yet %+v", at)
		}
	})
}
