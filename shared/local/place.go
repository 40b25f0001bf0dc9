package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Resolve returns the absolute path that a path leads to through symbolic links,
// whether or not there is anything. What cannot be followed, such as a link to
// itself, is an error.
func Resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range 40 {
		real, err := filepath.EvalSymlinks(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return real, err
		}
		// Nothing is there: a link that leads nowhere yet, or a name to be made.
		above, name := filepath.Split(path)
		if above, err = Resolve(above); err != nil {
			return "", err
		}
		path = filepath.Join(above, name)
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(above, link)
		}
		path = link
	}
	return "", unix.ELOOP
}

// mounted reports whether a directory without links in its path is a mount point,
// which cannot be given another name.
func mounted(dir string) bool {
	if table, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
		for line := range strings.Lines(string(table)) {
			if fields := strings.Fields(line); len(fields) > 4 && plain.Replace(fields[4]) == dir {
				return true
			}
		}
		return false
	}
	var here, above unix.Stat_t
	return unix.Stat(dir, &here) == nil && unix.Stat(filepath.Dir(dir), &above) == nil && (here.Dev != above.Dev || here.Ino == above.Ino)
}
