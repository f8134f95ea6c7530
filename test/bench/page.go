// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// The lines of a page between which the tables are.
const (
	tablesBegin = "<!-- bench writes the tables from here on -->\n"
	tablesEnd   = "<!-- to here -->\n"
)

// write replaces the tables of a page.
func write(path string, tables []byte) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, err = replaceTables(page, tables)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, page, 0o644)
}

func replaceTables(page, tables []byte) ([]byte, error) {
	before, rest, begins := bytes.Cut(page, []byte(tablesBegin))
	_, after, ends := bytes.Cut(rest, []byte(tablesEnd))
	if !begins || !ends {
		return nil, errors.New("no place for the tables")
	}
	return bytes.Join([][]byte{before, []byte(tablesBegin), tables, []byte("\n" + tablesEnd), after}, nil), nil
}
