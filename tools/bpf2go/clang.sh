#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# clang.sh FOLDER puts the compiler of the programs in the kernel into FOLDER/bin: clang and
# llvm-strip of Debian 12. Other versions make other octets of the same source, and then
# nobody could tell whether a committed object is what its source says.
#
# Where the host has that version, these are links. Else Debian's packages are unpacked in
# FOLDER, and nothing of the host changes.
set -eu

major=14 version=14.0.6
folder=$(mkdir -p "$1/bin" && cd "$1" && pwd)

# has tells whether a clang is of the version.
has() { "$1" --version 2>/dev/null | grep -q "clang version $version"; }

has "$folder/bin/clang" && exit
if has "clang-$major" && command -v "llvm-strip-$major" >/dev/null; then
	ln -sf "$(command -v "clang-$major")" "$folder/bin/clang"
	ln -sf "$(command -v "llvm-strip-$major")" "$folder/bin/llvm-strip"
	exit
fi

echo "== fetching the Debian package clang-$major, because this host has $(clang --version 2>/dev/null | head -n 1 || true)" | sed 's/has $/has no clang/'
rm -rf "$folder/root" "$folder/debs" && mkdir -p "$folder/debs/partial"
get() {
	apt-get install -q -y --download-only --reinstall --no-install-recommends -o "Dir::Cache::archives=$folder/debs" \
		"clang-$major" "llvm-$major" "libllvm$major" "libclang-cpp$major" "libclang-common-$major-dev" >/dev/null 2>&1
}
get || { apt-get update >/dev/null && get; } || true
for deb in "$folder"/debs/*.deb; do test ! -f "$deb" || dpkg -x "$deb" "$folder/root"; done
rm -rf "$folder/debs"
for program in clang llvm-strip; do
	cat >"$folder/bin/$program" <<-END
		#!/bin/sh
		LD_LIBRARY_PATH=\$(echo "$folder"/root/usr/lib/*-linux-gnu):$folder/root/usr/lib/llvm-$major/lib
		export LD_LIBRARY_PATH
		exec "$folder/root/usr/lib/llvm-$major/bin/$program" "\$@"
	END
	chmod +x "$folder/bin/$program"
done
has "$folder/bin/clang" || {
	echo "clang.sh: the programs in the kernel are compiled with clang $version, which is neither installed nor to be had with apt-get here. On Debian 12: apt-get install clang-$major llvm-$major. On another system run \"make generate\" or \"make lint\" in a container of Debian 12." >&2
	exit 3
}
