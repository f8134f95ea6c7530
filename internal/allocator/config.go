// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/ndproxyd/ndproxyd/internal/pools"
)

// DefaultClass is the loadBalancerClass of the services that get addresses.
const DefaultClass = "ndproxyd"

// Config says which services get addresses, and which.
type Config struct {
	// Class is the loadBalancerClass of services that count, and WithoutClass is true
	// where those without one do, too.
	Class        string
	WithoutClass bool
	Pools        []pools.Pool
}

// file is a configuration as it is written.
type file struct {
	Version      int    `yaml:"version"`
	Class        string `yaml:"class"`
	WithoutClass bool   `yaml:"without_class"`
	Pools        []struct {
		Name       string   `yaml:"name"`
		Prefixes   []string `yaml:"prefixes"`
		Manual     bool     `yaml:"manual"`
		Namespaces []string `yaml:"namespaces"`
	} `yaml:"pools"`
}

// Load reads a configuration. Its errors name the file, and the line where they can.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path) //nolint:gosec // whoever starts the program names the file
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration. A key that it does not know is an error.
func Parse(data []byte) (*Config, error) {
	f := file{Class: DefaultClass}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if f.Version != 1 {
		return nil, fmt.Errorf(`version %d is not one that this program knows: write "version: 1"`, f.Version)
	}
	if errs := validation.IsQualifiedName(f.Class); len(errs) > 0 {
		return nil, fmt.Errorf("class %q is no loadBalancerClass: %s", f.Class, errs[0])
	}
	c := &Config{Class: f.Class, WithoutClass: f.WithoutClass}
	for _, p := range f.Pools {
		pool := pools.Pool{Name: p.Name, Manual: p.Manual, Namespaces: p.Namespaces}
		for _, word := range p.Prefixes {
			prefix, err := netip.ParsePrefix(word)
			if err != nil {
				return nil, fmt.Errorf("pool %q: %q is not a prefix: write one such as 2001:db8::1:0/112", p.Name, word)
			}
			pool.Prefixes = append(pool.Prefixes, prefix)
		}
		c.Pools = append(c.Pools, pool)
	}
	return c, pools.Check(c.Pools)
}
