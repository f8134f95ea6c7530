#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fetch.sh SUITE/SERIES/ARCHITECTURE FOLDER puts Debian's newest kernel of a series, such as
# bookworm/6.1/amd64, into FOLDER: vmlinuz, the modules that the tests need, and its release.
# It reads the lists of that suite alone, in a folder of its own: neither what apt knows on
# this host nor anything else changes.
set -eu

architecture=${1##*/} suite=${1%%/*} series=${1#*/}
series=${series%/*}
rm -rf "$2" && mkdir -p "$2/apt/lists/partial" "$2/apt/archives/partial" "$2/apt/root" "$2/modules"
folder=$(cd "$2" && pwd)

fail() { cat "$folder/apt/log" 2>/dev/null >&2 || true; echo "fetch.sh: $*" >&2; exit 1; }

# mirror returns where this host gets Debian's packages from, debian or debian-security.
mirror() {
	# shellcheck disable=SC2016 # apt expands it
	found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n "s|/$1/*\$|/$1|p" | head -n 1)
	test -n "$found" || fail "this host has no package source that ends in /$1, of which the kernels come"
	echo "$found"
}

debian=$(mirror debian)
security=$(mirror debian-security)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
{
	echo "deb [signed-by=$keys] $debian $suite main"
	case $suite in
	*-backports) ;;
	*) echo "deb [signed-by=$keys] $security $suite-security main" ;;
	esac
} >"$folder/apt/sources.list"

# apt calls a program of apt for these lists.
apt() {
	program=$1
	shift
	"$program" -q -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o APT::Sandbox::User=root \
		-o "Dir::Etc::sourcelist=$folder/apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$folder/apt/lists" \
		-o "Dir::Cache=$folder/apt" -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

# packages lists the packages of a pattern, newest first.
packages() { apt apt-cache search --names-only "^$1\$" | cut -d ' ' -f 1 | grep -v -e '-rt-' | sort -rV; }

# download fetches packages, all or none.
download() { (cd "$folder/apt" && rm -f ./*.deb && apt apt-get download "$@" >>log 2>&1); }

# A mirror that is being brought up to date may lack one of the lists. The other is enough.
apt apt-get update >"$folder/apt/log" 2>&1 || true

# The kernel for virtual machines is the smallest, where the architecture has one. A mirror
# may lack a package that its list names: then the one before it. Since Linux 7.2 the kernel
# and its modules are packages of their own.
numbers=$(echo "$series" | sed 's/\./\\./g')
for package in $(packages "linux-image-${numbers}[.][0-9a-z+.-]*-cloud-$architecture") $(packages "linux-image-${numbers}[.][0-9a-z+.-]*-$architecture"); do
	release=${package#linux-image-}
	if test -n "$(packages "linux-modules-$(echo "$release" | sed 's/[.+]/[&]/g')")"; then
		download "linux-binary-$release" "linux-modules-$release" && break
	else
		download "$package" && break
	fi
	release=
done
test -n "${release:-}" || fail "Debian $suite has no Linux $series for $architecture"

for deb in "$folder"/apt/*.deb; do dpkg-deb -x "$deb" "$folder/apt/root"; done
find "$folder/apt/root" -name 'vmlinuz*' -type f -exec cp {} "$folder/vmlinuz" \;
for module in veth sch_ingress cls_bpf; do
	find "$folder/apt/root" -name "$module.ko*" -exec cp {} "$folder/modules" \;
done
find "$folder/modules" -name '*.xz' -exec xz -d {} +
test -s "$folder/vmlinuz" && test -s "$folder/modules/veth.ko" || fail "the packages of Linux $release hold no kernel"
echo "$release" >"$folder/release"
rm -rf "$folder/apt"
