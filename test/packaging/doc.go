// SPDX-License-Identifier: Apache-2.0

// Package packaging reads what the packages consist of besides the program: the scripts of
// maintainers and init systems, and the files for OpenWrt and Ansible. The scripts run with
// stand-ins for what their init system offers. test/release looks into the packages, and
// test/systemd installs them.
package packaging
