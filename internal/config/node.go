// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	// maxAliased bounds what a document may expand to through aliases.
	maxAliased = 100_000
	// maxFaults bounds the faults that are reported.
	maxFaults = 100
)

// reader walks a YAML document, and collects faults on the way.
type reader struct {
	file    string
	errors  Errors
	aliased int // values read below aliases
}

// value is a node of the document with the path that leads to it.
type value struct {
	*reader
	node    *yaml.Node
	path    string
	aliased bool // stands below an alias
}

// field is a key that a mapping may have.
type field struct {
	name string
	read func(value)
}

// fail records a fault at the value's place.
func (v value) fail(format string, args ...any) {
	if len(v.errors) >= maxFaults {
		return
	}
	v.errors = append(v.errors, v.error(message(format, args)))
}

// error returns a fault at the value's place.
func (v value) error(message string) *Error {
	return &Error{File: v.file, Line: v.node.Line, Column: v.node.Column, Path: v.path, Message: message}
}

// child returns the value for a node below v; an alias stands for its anchor.
func (v value) child(n *yaml.Node, path string) value {
	aliased := v.aliased
	if n.Kind == yaml.AliasNode {
		n, aliased = n.Alias, true
	}
	if aliased {
		v.reader.aliased++
	}
	return value{reader: v.reader, node: n, path: path, aliased: aliased}
}

// tooMuch reports whether to stop: after too many faults, or, with a fault,
// where aliases make the document explode.
func (v value) tooMuch() bool {
	if v.reader.aliased == maxAliased {
		v.reader.aliased++
		v.fail("aliases expand to more than %d values", maxAliased)
	}
	return v.reader.aliased > maxAliased || len(v.errors) >= maxFaults
}

// mapping reads the keys of a mapping. Unknown and doubled keys are faults.
func (v value) mapping(fields ...field) {
	if v.node.Kind != yaml.MappingNode {
		v.fail("is %s, want a mapping with keys like %q", v.describe(), fields[0].name+":")
		return
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(v.node.Content) && !v.tooMuch(); i += 2 {
		k := v.child(v.node.Content[i], v.path)
		name := k.node.Value
		if k.node.Kind != yaml.ScalarNode {
			k.fail("a key must be a word, this is %s", k.describe())
			continue
		}
		if line, doubled := seen[name]; doubled {
			k.fail("key %q is already on line %d: remove one", name, line)
			continue
		}
		seen[name] = k.node.Line
		at := slices.Index(names, name)
		if at < 0 {
			k.fail("unknown key %q%s; known keys: %s", name, didYouMean(name, names), strings.Join(names, ", "))
			continue
		}
		path := name
		if v.path != "" {
			path = v.path + "." + name
		}
		fields[at].read(v.child(v.node.Content[i+1], path))
	}
}

// list reads the elements of a sequence.
func (v value) list(read func(value)) {
	if v.node.Kind != yaml.SequenceNode {
		v.fail("is %s, want a list (lines that start with \"- \")", v.describe())
		return
	}
	for i, n := range v.node.Content {
		if v.tooMuch() {
			return
		}
		read(v.child(n, v.path+"["+strconv.Itoa(i)+"]"))
	}
}

// text reads a scalar of any type as it is written.
func (v value) text() (string, bool) {
	if v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!null" {
		v.fail("is %s, want a word", v.describe())
		return "", false
	}
	return v.node.Value, true
}

// boolean reads true or false.
func (v value) boolean(into *bool) {
	s, ok := v.text()
	if !ok {
		return
	}
	switch s {
	case "true":
		*into = true
	case "false":
		*into = false
	default:
		v.fail("%q is neither true nor false", s)
	}
}

// integer reads a number from least to most.
func (v value) integer(into *int, least, most int) {
	s, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		v.fail("%q is not a number from %d to %d", s, least, most)
		return
	}
	*into = n
}

// duration reads a time like 500ms.
func (v value) duration(into *time.Duration) {
	s, ok := v.text()
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		v.fail("%q is not a duration (examples: 500ms, 1s)", s)
		return
	}
	*into = d
}

// atLeast reads a time of which 0 is out of bounds: the zero value of the setting
// stands for the default, which is not what was written.
func (v value) atLeast(into *time.Duration, low, high time.Duration) {
	before := len(v.errors)
	if v.duration(into); *into == 0 && len(v.errors) == before {
		v.fail("0s is outside %s to %s: leave the key out for the default", low, high)
	}
}

// describe names what stands in the file.
func (v value) describe() string {
	switch {
	case v.node.Kind == yaml.MappingNode:
		return "a mapping"
	case v.node.Kind == yaml.SequenceNode:
		return "a list"
	case v.node.Tag == "!!null":
		return "empty"
	}
	return strconv.Quote(v.node.Value)
}
