#!/usr/bin/env bash
# Builds a release into dist/: programs, packages, image, chart, manifests, bills of
# materials, checksums. "make release" builds all parts, "make packages" and "make image"
# one part. The same commit makes the same files.
#
#   deploy/release.sh VERSION ARCHES PART...     PART: packages image chart archives
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
arches=$2
shift 2
tools=.cache/tools
dist=${DIST:-dist}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH=$date CGO_ENABLED=0

say() { echo "== $*"; }
wants() { [[ " $parts " == *" $1 "* ]]; }
parts=$*

# debian is a version in the order of dpkg and rpm: a ~ sorts before the release.
debian=${version/-/\~}

# alpine is a version in the order of apk: it knows alpha, beta and rc, and pre for all else.
alpine=${version%%-*}
case $version in
*-alpha.* | *-beta.* | *-rc.*) suffix=${version#*-} alpine+=_${suffix/./} ;;
*-*) alpine+=_pre ;;
esac

rm -rf "$dist"
mkdir -p "$dist"/{sbom,man,completion}

# program NAME ARCH: the program, and its bill of materials.
program() {
	say "building $1 $version for $2"
	GOOS=linux GOARCH=$2 go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=$version -X main.revision=$revision" \
		-o "$dist/linux-$2/$1" "./cmd/$1"
	"$tools/cyclonedx-gomod" bin -json -noserial -version "$version" \
		-output "$dist/sbom/$1_linux_$2.cdx.json" "$dist/linux-$2/$1" 2>/dev/null
	# The time of the build is the only thing in it that differs.
	sed -i -E "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$(date -u -d "@$date" +%Y-%m-%dT%H:%M:%SZ)\"/" \
		"$dist/sbom/$1_linux_$2.cdx.json"
}

for arch in $arches; do
	program ndproxyd "$arch"
	! wants image || program ndproxyd-allocator "$arch"
done

say 'making manual pages and completions'
"$tools/man" -docs docs -out "$dist/man" -version "$version" -date "$date"
gzip -9nc CHANGELOG.md >"$dist/man/changelog.gz"
GOFLAGS= go build -trimpath -o "$dist/native" ./cmd/ndproxyd
for shell in bash zsh fish; do "$dist/native" completion "$shell" >"$dist/completion/ndproxyd.$shell"; done
rm "$dist/native"

# pack CONFIG PACKAGER ARCH: nfpm does not replace variables in paths.
pack() {
	local config out number=$debian
	case $2 in
	apk) number=$alpine ;;
	archlinux) number=${version/-/} ;; # to pacman, 1.0rc comes before 1.0
	esac
	config=$(mktemp)
	sed -e "s/\${ARCH}/$3/g; s/\${VERSION}/$number/g; s#\${DIST}#$dist#g" "$1" >"$config"
	out=$("$tools/nfpm" package --config "$config" --packager "$2" --target "$dist/" 2>&1) || { echo "$out" >&2; return 1; }
	rm "$config"
}

if wants packages; then
	for arch in $arches; do
		for packager in deb rpm apk archlinux; do
			say "packing ndproxyd $version for $arch as $packager"
			pack deploy/package/nfpm.yaml $packager "$arch"
		done
	done
	for packager in deb rpm; do
		pack deploy/package/nfpm-ndppd.yaml $packager all
	done
fi
if wants image; then
	say "making the images for $arches"
	"$tools/image" -dist "$dist" -out "$dist/ndproxyd_${version}_image.tar" -version "$version" -revision "$revision" -date "$date" -arch "${arches// /,}"
	"$tools/image" -dist "$dist" -out "$dist/ndproxyd-allocator_${version}_image.tar" -version "$version" -revision "$revision" -date "$date" -arch "${arches// /,}" \
		-program ndproxyd-allocator -args '' -user 65532:65532 -name ghcr.io/ndproxyd/allocator \
		-description 'Gives services of the type LoadBalancer IPv6 addresses of pools'
fi
if wants chart; then
	say 'packing the chart and the manifests'
	"$tools/helm" package deploy/helm/ndproxyd --version "$version" --app-version "$version" --destination "$dist" >/dev/null
	"$tools/helm" template ndproxyd "$dist/ndproxyd-$version.tgz" --namespace ndproxyd --no-hooks --set namespace.create=true \
		>"$dist/ndproxyd_${version}_manifests.yaml"
fi
if wants archives; then
	for arch in $arches; do
		say "archiving ndproxyd $version for $arch"
		name=ndproxyd_${version}_linux_$arch
		mkdir "$dist/$name"
		cp -r "$dist/linux-$arch/ndproxyd" "$dist/man" "$dist/completion" README.md LICENSE CHANGELOG.md "$dist/$name"
		cp deploy/systemd/ndproxyd.service deploy/systemd/fast-path.conf deploy/package/config.yaml "$dist/$name"
		tar --sort=name --mode=u=rwX,go=rX --mtime="@$date" --owner=0 --group=0 --numeric-owner -C "$dist" -c "$name" | gzip -9n >"$dist/$name.tar.gz"
		rm -r "${dist:?}/$name"
	done
fi

cp "$dist"/sbom/*.json "$dist"
(cd "$dist" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
say "done: $dist/SHA256SUMS lists $(wc -l <"$dist/SHA256SUMS") files"
