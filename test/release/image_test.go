// SPDX-License-Identifier: Apache-2.0

//go:build full

package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// mostImage is how large an image may be on a node, and a part of what it may be.
const mostImage = 40 << 20

// mostAllocator is the same for the allocator, which runs once and not on every node.
const mostAllocator = 60 << 20

// descriptor is what an OCI layout names its blobs by.
type descriptor struct {
	MediaType   string
	Digest      string
	Size        int64
	Platform    struct{ OS, Architecture string }
	Annotations map[string]string
}

// untar returns the files of an archive.
func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for a := tar.NewReader(r); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		harness.Must(t, err)
		files[h.Name], err = io.ReadAll(a)
		harness.Must(t, err)
	}
}

// TestImage follows the layout of each image to the files in it.
func TestImage(t *testing.T) {
	for _, tt := range []struct {
		program, name string
		args          []string
		most          int
	}{
		{"ndproxyd", "ghcr.io/ndproxyd/ndproxyd", []string{"run"}, mostImage},
		{"ndproxyd-allocator", "ghcr.io/ndproxyd/allocator", nil, mostAllocator},
	} {
		t.Run(tt.program, func(t *testing.T) { image(t, tt.program, tt.name, tt.args, tt.most) })
	}
}

func image(t *testing.T, program, name string, args []string, most int) {
	f, err := os.Open(glob(t, program+"_*_image.tar"))
	harness.Must(t, err)
	defer f.Close()
	layout := untar(t, f)
	blob := func(d descriptor, into any) []byte {
		b := layout["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		if int64(len(b)) != d.Size {
			t.Fatalf("%s has %d octets, and not %d", d.Digest, len(b), d.Size)
		}
		if into != nil {
			harness.Must(t, json.Unmarshal(b, into))
		}
		return b
	}
	var top, index struct{ Manifests []descriptor }
	harness.Must(t, json.Unmarshal(layout["index.json"], &top))
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["io.containerd.image.name"] != name+":"+version(t) {
		t.Fatalf("the index is %+v", top)
	}
	blob(top.Manifests[0], &index)
	var platforms []string
	for _, m := range index.Manifests {
		platforms = append(platforms, m.Platform.OS+"/"+m.Platform.Architecture)
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		blob(m, &manifest)
		var config struct {
			Config struct {
				Entrypoint, Cmd []string
				Labels          map[string]string
			}
		}
		blob(manifest.Config, &config)
		if !slices.Equal(config.Config.Entrypoint, []string{"/" + program}) || !slices.Equal(config.Config.Cmd, args) {
			t.Errorf("it runs %v %v", config.Config.Entrypoint, config.Config.Cmd)
		}
		for label, want := range map[string]string{"version": version(t), "licenses": "Apache-2.0", "source": "https://github.com/ndproxyd/ndproxyd"} {
			if got := config.Config.Labels["org.opencontainers.image."+label]; got != want {
				t.Errorf("label %s is %q", label, got)
			}
		}
		size := 0
		var names []string
		for _, l := range manifest.Layers {
			z, err := gzip.NewReader(bytes.NewReader(blob(l, nil)))
			harness.Must(t, err)
			for file, content := range untar(t, z) {
				size += len(content)
				names = append(names, file)
				want, err := os.ReadFile(root + "dist/linux-" + m.Platform.Architecture + "/" + program)
				harness.Must(t, err)
				if file == program && !bytes.Equal(content, want) {
					t.Error("the program is another one")
				}
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{program, "usr/share/doc/" + program + "/sbom.cdx.json"}) {
			t.Errorf("it holds %v", names)
		}
		if size > most {
			t.Errorf("%s takes %d octets", m.Platform.Architecture, size)
		}
	}
	if slices.Sort(platforms); !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms are %v", platforms)
	}
}
