// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Format is the language of a configuration file.
type Format uint8

// The formats.
const (
	// ByName is NDPPDStrict for a name that ends in .conf, and YAML otherwise.
	ByName Format = iota
	// NDPPDStrict is ndppd.conf, and an error where ndppd reads it in another
	// way than it looks.
	NDPPDStrict
	// NDPPDLenient is ndppd.conf, read as ndppd does.
	NDPPDLenient
	// ByNameLenient is ByName, but with NDPPDLenient for a name that ends in .conf: the
	// daemon runs with every file that ndppd runs with.
	ByNameLenient
)

// Load reads and checks a configuration file. Faults of its content come as
// [Errors].
func Load(path string, format Format) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	if (format == ByName || format == ByNameLenient) && filepath.Ext(path) != ".conf" {
		return Parse(path, data)
	}
	f, err := ParseNDPPD(path, data, format == NDPPDLenient || format == ByNameLenient)
	if err != nil {
		return nil, err
	}
	f.Config.Warnings = f.Warnings
	return f.Config, nil
}

func read(path string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read configuration: %w (write one, or name another with --config, or leave --config out)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return data, nil
}

// Convert reads an ndppd.conf and returns the YAML that it comes to, and the
// warnings about it.
func Convert(path string, lenient bool) (yaml string, warnings []string, err error) {
	data, err := read(path)
	if err != nil {
		return "", nil, err
	}
	f, err := ParseNDPPD(path, data, lenient)
	if err != nil {
		return "", nil, err
	}
	return f.YAML(), f.Warnings, nil
}

// ndppdProxyLine begins a section of an ndppd.conf, and nothing in YAML.
var ndppdProxyLine = regexp.MustCompile(`(?m)^[ \t]*proxy[ \t]+[^ \t\n{:]+[ \t]*\{`)

// Parse checks the content of a configuration file. file is the name that the
// errors give it.
func Parse(file string, data []byte) (*Config, error) {
	c, err := parse(file, data)
	if err != nil && ndppdProxyLine.Match(data) {
		return nil, Errors{{File: file, Line: 1, Column: 1, Message: `this looks like an ndppd.conf: give it a name that ends in .conf, or make YAML of it with "ndproxyd convert FILE"`}}
	}
	return c, err
}

func parse(file string, data []byte) (*Config, error) {
	r := &reader{file: file}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxErrors(file, err)
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		return nil, Errors{{File: file, Line: more.Line, Column: more.Column, Message: `a second document begins here: remove the "---" before it`}}
	case !errors.Is(err, io.EOF):
		return nil, syntaxErrors(file, err)
	}
	if len(doc.Content) == 0 {
		return nil, Errors{{File: file, Line: 1, Column: 1, Message: `the file is empty: begin with "version: 1"`}}
	}
	c := &Config{Metrics: Endpoint{Listen: DefaultMetricsListen}}
	root := value{reader: r}.child(doc.Content[0], "")
	f := fileReader{config: c}
	root.mapping(
		field{"version", f.version},
		field{"uplinks", f.uplinks},
		field{"rules", f.rules},
		field{"devices", f.devices},
		field{"kubernetes", f.kubernetes},
		field{"metrics", f.metrics},
		field{"health", f.health},
		field{"fast_path_directory", f.fastPathDirectory},
	)
	f.finish(root)
	if err := r.errors.sorted(); err != nil {
		return nil, err
	}
	return c, nil
}

// yamlLine finds the place in an error of the YAML library.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntaxErrors gives an error of the YAML library a place.
func syntaxErrors(file string, err error) Errors {
	e := &Error{File: file, Line: 1, Column: 1, Message: Shorten(err.Error())}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		e.Message = "not valid YAML: " + Shorten(m[2])
		if n, err := strconv.Atoi(m[1]); err == nil {
			e.Line = n
		}
	}
	return Errors{e}
}

// fileReader fills a Config from the top-level keys, and remembers places for
// the checks that need more than one key.
type fileReader struct {
	config      *Config
	hasVersion  bool
	hasUplinks  bool
	hasRules    bool
	interfaces  []value   // the names of the uplinks
	rulePlaces  []value   // the prefixes of the valid rules
	ruleUplinks [][]value // the uplinks that rules name
}

func (f *fileReader) version(v value) {
	f.hasVersion = true
	if s, ok := v.text(); ok && s != strconv.Itoa(Version) {
		v.fail("%q is not a version that this program knows: write %d", s, Version)
	}
}

// finish checks what belongs together.
func (f *fileReader) finish(root value) {
	if root.node.Kind != yaml.MappingNode {
		return
	}
	if !f.hasVersion {
		root.fail(`the key "version" is missing: write "version: %d"`, Version)
	}
	f.config.DiscoverRules = !f.hasRules
	for _, v := range f.rulePlaces {
		f.config.places = append(f.config.places, fmt.Sprintf("%s:%d:%d", v.file, v.node.Line, v.node.Column))
	}
	var names []string
	for _, u := range f.config.Uplinks {
		names = append(names, u.Interface)
	}
	for i, v := range f.interfaces {
		for _, other := range f.interfaces[:i] {
			if v.node.Value == other.node.Value {
				v.fail("%q is already %s", v.node.Value, other.path)
				break
			}
		}
	}
	known := make(map[string]bool)
	for _, n := range names {
		known[n] = true
	}
	for _, uplinks := range f.ruleUplinks {
		for _, v := range uplinks {
			if !f.hasUplinks {
				f.config.ruleUplinks = append(f.config.ruleUplinks, named{name: v.node.Value, place: *v.error("")})
			}
			if f.hasUplinks && !known[v.node.Value] {
				v.fail("%q is not the interface of an uplink%s", v.node.Value, didYouMean(v.node.Value, names))
			}
		}
	}
	f.checkDoubledRules()
}

// checkDoubledRules finds rules of which neither is more specific.
func (f *fileReader) checkDoubledRules() {
	first := make(map[string][]int)
	for i, r := range f.config.Rules {
		p := prefix(r)
		for _, j := range first[p] {
			if overlap(r, f.config.Rules[j]) {
				f.rulePlaces[i].fail("%s is already the prefix of the rule on line %d: remove one, or give them different uplinks", p, f.rulePlaces[j].node.Line)
				break
			}
		}
		first[p] = append(first[p], i)
	}
}

// overlap reports whether two rules hold on a common uplink.
func overlap(a, b rules.Rule) bool {
	if len(a.Uplinks) == 0 || len(b.Uplinks) == 0 {
		return true
	}
	for _, u := range a.Uplinks {
		if b.Covers(u) {
			return true
		}
	}
	return false
}
