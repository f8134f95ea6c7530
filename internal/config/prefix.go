// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// templateWord is what a prefix begins with that is made of the uplink's.
const templateWord = "uplink"

// parsePrefix reads the prefix of a rule, or the template for one.
func parsePrefix(s string, r *rules.Rule) (err error) {
	if rules.IsTemplate(s) {
		r.Template, err = parseTemplate(s)
		return err
	}
	if r.Prefix, err = rules.ParsePrefix(s); err == nil {
		return nil
	}
	word, rest := s, ""
	if i := strings.IndexAny(s, "/:"); i >= 0 {
		word, rest = s[:i], s[i:]
	}
	if nearest(strings.ToLower(word), []string{templateWord}) == "" {
		return err
	}
	if _, wrong := rules.ParseTemplate(templateWord + rest); wrong != nil {
		rest = "/64"
	}
	return fmt.Errorf("%w (did you mean %q?)", err, templateWord+rest)
}

// parseTemplate reads a template. One with a colon that nothing follows is refused with
// what it is without that colon, or with what is wrong with that.
func parseTemplate(s string) (rules.Template, error) {
	text, length, hasLength := strings.Cut(s, ":/")
	if !hasLength {
		text = strings.TrimSuffix(s, ":")
	}
	if text == s || strings.HasSuffix(text, ":") { // two colons stand for zeros
		return rules.ParseTemplate(s)
	}
	if hasLength {
		text += "/" + length
	}
	if _, err := rules.ParseTemplate(text); err != nil {
		return rules.Template{}, err
	}
	return rules.Template{}, fmt.Errorf("%q has a colon that nothing follows (did you mean %q?)", s, text)
}

// prefix is how a rule's prefix is written.
func prefix(r rules.Rule) string {
	if !r.Template.IsZero() {
		return r.Template.String()
	}
	return r.Prefix.String()
}
