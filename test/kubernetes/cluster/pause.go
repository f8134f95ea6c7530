// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// PauseImage makes an image localhost/pause:1, as an archive that containerd imports,
// and returns its path.
func PauseImage(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	program := filepath.Join(dir, "pause")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./pause")
	build.Dir = filepath.Join(cacheDir(), "..", "test", "kubernetes", "cluster")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build pause: %v: %s", err, out)
	}
	content, err := os.ReadFile(program)
	harness.Must(tb, err)
	layer := archive(tb, map[string][]byte{"pause": content}, 0o755)
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Entrypoint": []string{"/pause"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	harness.Must(tb, err)
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{"localhost/pause:1"}, "Layers": []string{"layer.tar"}}})
	harness.Must(tb, err)
	path := filepath.Join(dir, "pause.tar")
	harness.Must(tb, os.WriteFile(path, archive(tb, map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": layer}, 0o644), 0o600))
	return path
}

func archive(tb testing.TB, files map[string][]byte, mode int64) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		harness.Must(tb, w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}))
		_, err := w.Write(content)
		harness.Must(tb, err)
	}
	harness.Must(tb, w.Close())
	return b.Bytes()
}
