// SPDX-License-Identifier: Apache-2.0

// Command image makes an OCI image of built programs, for several platforms, as one
// archive of an OCI layout. It takes no engine and no base image, and the same input
// makes the same archive. "make release" calls it.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// options are what an image is made of.
type options struct {
	dist, out, program, args, user, name, description, version, revision string
	platforms                                                            []string
	date                                                                 time.Time
}

func main() {
	var o options
	flag.StringVar(&o.dist, "dist", "dist", "where linux-ARCH/PROGRAM and sbom/PROGRAM_linux_ARCH.cdx.json are")
	flag.StringVar(&o.program, "program", "ndproxyd", "the program that the image runs")
	flag.StringVar(&o.args, "args", "run", "its arguments, with spaces")
	// Neither Docker nor Kubernetes gives another user effective capabilities.
	flag.StringVar(&o.user, "user", "0:0", "its user")
	flag.StringVar(&o.description, "description", "Answers IPv6 Neighbor Solicitations for addresses behind a node", "of the program")
	flag.StringVar(&o.out, "out", "ndproxyd-image.tar", "the archive")
	flag.StringVar(&o.name, "name", "ghcr.io/ndproxyd/ndproxyd", "repository, for the name in the archive")
	flag.StringVar(&o.version, "version", "devel", "of the program, and the tag")
	flag.StringVar(&o.revision, "revision", "", "of the source")
	platforms := flag.String("arch", "amd64,arm64", "architectures")
	date := flag.Int64("date", 0, "seconds since 1970, of every file")
	flag.Parse()
	o.platforms, o.date = strings.Split(*platforms, ","), time.Unix(*date, 0).UTC()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range o.platforms {
		image, err := build(o, arch)
		if err != nil {
			return fmt.Errorf("build image for %s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: arch},
		}})
	}
	dir, err := os.MkdirTemp("", "ndproxyd-image")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": o.version,
		"io.containerd.image.name":          o.name + ":" + o.version,
	})); err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	return archive(dir, o.out)
}

// build makes the image of one platform: the program and its bill of materials.
func build(o options, arch string) (v1.Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range []struct {
		name, from string
		mode       int64
	}{
		{o.program, filepath.Join(o.dist, "linux-"+arch, o.program), 0o755},
		{"usr/share/doc/" + o.program + "/sbom.cdx.json", filepath.Join(o.dist, "sbom", o.program+"_linux_"+arch+".cdx.json"), 0o644},
	} {
		content, err := os.ReadFile(f.from)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(content)), ModTime: o.date, Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: o.date}, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: []string{"/" + o.program}, Cmd: strings.Fields(o.args), User: o.user,
			Labels: map[string]string{
				"org.opencontainers.image.title":       o.program,
				"org.opencontainers.image.description": o.description,
				"org.opencontainers.image.source":      "https://github.com/ndproxyd/ndproxyd",
				"org.opencontainers.image.licenses":    "Apache-2.0",
				"org.opencontainers.image.version":     o.version,
				"org.opencontainers.image.revision":    o.revision,
				"org.opencontainers.image.created":     o.date.Format(time.RFC3339),
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{Layer: l, History: v1.History{
		Created: v1.Time{Time: o.date}, CreatedBy: "ndproxyd's tools/image",
	}})
}

// archive packs a folder with its files in order and without what differs from one
// machine to the next.
func archive(dir, out string) (err error) {
	f, err := os.Create(out) //nolint:gosec // whoever calls it names the file
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // a folder of our own
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return w.Close()
}
