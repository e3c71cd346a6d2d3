package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/config"
)

// onDisk loads what serve would on a machine where dir/volume is mounted as kind,
// and everything else lies on an overlay.
func onDisk(t *testing.T, kind string, changes ...string) (l *config.Loaded, dir string) {
	t.Helper()
	dir = t.TempDir()
	volume := filepath.Join(dir, "volume")
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(dir, "mountinfo")
	write(t, table, "20 1 0:30 / / rw,relatime - overlay overlay rw\n21 20 0:21 / /proc rw - proc proc rw\n"+
		fmt.Sprintf("22 20 8:1 /vol-1 %s rw,relatime shared:1 - %s /dev/sdb rw\n", volume, kind))
	return config.LoadOn(table, config.Serve, right(changes...), dir), dir
}

var homes = []string{
	"RENDER=true", "RAILWAY_ENVIRONMENT_ID=x", "FLY_APP_NAME=my-app", "DYNO=web.1", "K_SERVICE=my-service", "KUBERNETES_SERVICE_HOST=10.0.0.1", "KEYSHIELD_IMAGE=1",
}

// TestDisksThatForgetAreRefused on every platform that says what it is, with the
// ways out.
func TestDisksThatForgetAreRefused(t *testing.T) {
	for _, home := range homes {
		for kind, data := range map[string]string{"ext4": "data", "tmpfs": "volume", "overlay": "volume/data", "ramfs": "volume"} {
			l, _ := onDisk(t, kind, home, "TRUSTED_PROXY=none", "DATA_DIR="+data)
			text, fix := problemOf(l, "DATA_DIR")
			if !strings.Contains(text, "every budget would begin anew") || !strings.Contains(fix, "LEDGER_EPHEMERAL=accept") || len(l.Problems) != 1 {
				t.Errorf("%s, %s on %s: %+v", home, data, kind, l.Problems)
			}
			if lasting := !strings.HasPrefix(home, "DYNO") && !strings.HasPrefix(home, "K_SERVICE"); lasting != strings.Contains(text, "Attach") || lasting != strings.Contains(fix, "DATA_DIR=/data") {
				t.Errorf("%s: where there are disks that last, and only there, they are a way out: %s %s", home, text, fix)
			}
			l, _ = onDisk(t, kind, home, "TRUSTED_PROXY=none", "DATA_DIR="+data, "LEDGER_EPHEMERAL=accept")
			if len(l.Problems) > 0 || !l.Config.Ephemeral || !strings.Contains(strings.Join(l.Warnings, "\n"), "FORGOTTEN WITH EVERY START") {
				t.Errorf("%s, accepted: %+v %q", home, l.Problems, l.Warnings)
			}
		}
	}
	l, _ := onDisk(t, "ext4", "RAILWAY_ENVIRONMENT_ID=x", "TRUSTED_PROXY=railway", "RAILWAY_VOLUME_MOUNT_PATH=/app/storage")
	if _, fix := problemOf(l, "DATA_DIR"); !strings.Contains(fix, "DATA_DIR=/app/storage") {
		t.Errorf("Railway says where its volume is: %s", fix)
	}
}

func TestMountedVolumesAreAccepted(t *testing.T) {
	for _, home := range homes {
		for _, kind := range []string{"ext4", "xfs", "btrfs", "zfs"} {
			for _, data := range []string{"volume", "volume/deep/er", "./volume/"} {
				l, dir := onDisk(t, kind, home, "TRUSTED_PROXY=none", "DATA_DIR="+data)
				if len(l.Problems) > 0 || l.Config.Ephemeral || l.Config.Money.DataDir != filepath.Join(dir, data) {
					t.Errorf("%s, %s on %s: %s, %+v", home, data, kind, l.Config.Money.DataDir, l.Problems)
				}
			}
		}
	}
}

func TestSymbolicLinksAreFollowedToTheDisk(t *testing.T) {
	l, dir := onDisk(t, "ext4", "RENDER=true", "TRUSTED_PROXY=render")
	if len(l.Problems) == 0 {
		t.Fatal("the default is on the overlay")
	}
	for link, target := range map[string]string{"in": "volume", "volume/out": "."} {
		if err := os.Symlink(filepath.Join(dir, target), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		l := config.LoadOn(filepath.Join(dir, "mountinfo"), config.Serve, right("RENDER=true", "TRUSTED_PROXY=render", "DATA_DIR="+link+"/data"), dir)
		if refused := len(l.Problems) > 0; refused != (link == "volume/out") {
			t.Errorf("%s, which is %s: %+v", link, target, l.Problems)
		}
	}
}

// TestNoPlatformIsGuessed: a machine of one's own keeps its disk, whatever it is
// called.
func TestNoPlatformIsGuessed(t *testing.T) {
	for _, variable := range []string{"KEYSHIELD_IMAGE=0", "KEYSHIELD_IMAGE=true", "RAILWAY_TOKEN=x", "HOSTNAME=render", "RENDER="} {
		for _, kind := range []string{"ext4", "overlay", "tmpfs"} {
			if l, _ := onDisk(t, kind, variable, "DATA_DIR=volume"); len(l.Problems) > 0 || l.Config.Ephemeral {
				t.Errorf("%s on %s: %+v", variable, kind, l.Problems)
			}
		}
	}
	l, _ := onDisk(t, "tmpfs", "LEDGER_EPHEMERAL=accept", "DATA_DIR=volume")
	if len(l.Problems) > 0 || !l.Config.Ephemeral {
		t.Errorf("who says so may anywhere: %+v", l.Problems)
	}
}

// TestNetworkDisksAreRefusedEverywhere: the ledger would not open on them.
func TestNetworkDisksAreRefusedEverywhere(t *testing.T) {
	for _, kind := range []string{"nfs4", "cifs", "9p", "fuse.gcsfuse", "fuse", "virtiofs", "ceph"} {
		for _, changes := range [][]string{{}, {"RENDER=true", "TRUSTED_PROXY=render"}, {"LEDGER_EPHEMERAL=accept"}} {
			l, _ := onDisk(t, kind, append(changes, "DATA_DIR=volume")...)
			if text, _ := problemOf(l, "DATA_DIR"); !strings.Contains(text, "lies on "+kind+", a network") {
				t.Errorf("%s, %v: %q", kind, changes, text)
			}
		}
	}
}

// TestAnUnknownDiskIsNotTrusted where disks forget; elsewhere nobody asks.
func TestAnUnknownDiskIsNotTrusted(t *testing.T) {
	for content, about := range map[string]string{"": "an empty table", "no such lines\n": "another format", "22 20 8:1 / /elsewhere rw - ext4 x rw\n": "no mount at /"} {
		dir := t.TempDir()
		table := filepath.Join(dir, "mountinfo")
		write(t, table, content)
		for _, table := range []string{table, table + "-absent"} {
			l := config.LoadOn(table, config.Serve, right("KEYSHIELD_IMAGE=1"), dir)
			if text, _ := problemOf(l, "DATA_DIR"); !strings.Contains(text, "could not be made out") {
				t.Errorf("%s: %+v", about, l.Problems)
			}
			if l := config.LoadOn(table, config.Serve, right(), dir); len(l.Problems) > 0 {
				t.Errorf("%s, on a machine of one's own: %+v", about, l.Problems)
			}
		}
	}
}

func TestDevAsksForNoDisk(t *testing.T) {
	dir := t.TempDir()
	for _, home := range homes {
		l := config.LoadOn(filepath.Join(dir, "absent"), config.Dev, []string{home}, dir)
		if len(l.Problems) > 0 || l.Config.Money.DataDir != "" {
			t.Errorf("%s: %+v, folder %q", home, l.Problems, l.Config.Money.DataDir)
		}
	}
	l := config.Load(config.Dev, []string{"DATA_DIR=mine"}, dir)
	if l.Config.Money.DataDir != filepath.Join(dir, "mine") || l.Sources["DATA_DIR"] != config.FromEnvironment || len(l.Problems) > 0 {
		t.Errorf("a folder that was named: %q from %s", l.Config.Money.DataDir, l.Sources["DATA_DIR"])
	}
}

func TestAFolderThatCannotBeWrittenIsRefused(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "locked"), 0o500); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"locked", "locked/data"} {
		l := config.Load(config.Serve, right("DATA_DIR="+data), dir)
		if text, _ := problemOf(l, "DATA_DIR"); !strings.Contains(text, fmt.Sprintf("may not be written by this user (%d)", os.Getuid())) {
			t.Errorf("%s: %+v", data, l.Problems)
		}
	}
}
