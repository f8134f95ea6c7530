// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// stamp tells one state of a file from another, as far as the file system does.
type stamp struct {
	device, inode uint64
	size          int64
	modified      time.Time
	changed       time.Time
}

// content is a file as it was read.
type content struct {
	Reading
	stamp stamp
	// torn is true where the file was written to while it was read, so that a line
	// may have been put together of two.
	torn bool
}

// disk reads files as they are.
type disk struct{}

// stat returns the stamp of a file, without reading it.
func (disk) stat(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stampOf(info), nil
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode, s.changed = st.Dev, st.Ino, time.Unix(st.Ctim.Unix())
	}
	return s
}

// read reads a file. What is no regular file is not read: a pipe would never end,
// and a device may do anything.
func (disk) read(path string) (content, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return content{}, err
	}
	defer f.Close() //nolint:errcheck // it was read only
	info, err := f.Stat()
	switch {
	case err != nil:
		return content{}, err
	case info.IsDir():
		return content{}, fmt.Errorf("read %s: %w", path, errDirectory)
	case !info.Mode().IsRegular():
		return content{}, fmt.Errorf("read %s: %w", path, errNotRegular)
	}
	r, err := Parse(f)
	if err != nil {
		return content{}, fmt.Errorf("read %s: %w", path, err)
	}
	c := content{Reading: r, stamp: stampOf(info)}
	if info, err = f.Stat(); err != nil {
		return content{}, err
	}
	c.torn = stampOf(info) != c.stamp
	return c, nil
}

var (
	errDirectory  = errors.New("it is a directory: name a file in it")
	errNotRegular = errors.New("it is not a regular file")
)

// remedy says what to do about a file that could not be read.
func remedy(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "create the file " + path + ", which may be empty, or correct the path"
	case errors.Is(err, fs.ErrPermission):
		return "let everybody read the file and enter its directories, as with chmod a+r and a+x: the service runs as a user of its own. It sees neither /home nor /root nor another program's /tmp"
	case errors.Is(err, errNotText):
		return "write the file as text, in ASCII or UTF-8"
	case errors.Is(err, errDirectory), errors.Is(err, errNotRegular):
		return "name a file"
	}
	return "see to it that the file can be read"
}
