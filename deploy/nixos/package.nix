# SPDX-License-Identifier: Apache-2.0
#
# The program with its manual's sources and the unit of the other packages. Nix prints the
# right vendorHash the first time it builds a version.
{ lib
, buildGoModule
, procps
, src ? ../..
, version ? "0.1.0"
, vendorHash ? lib.fakeHash
}:

buildGoModule {
  pname = "ndproxyd";
  inherit src version vendorHash;
  subPackages = [ "cmd/ndproxyd" ];
  env.CGO_ENABLED = "0";
  ldflags = [ "-s" "-w" "-X main.version=${version}" ];
  doCheck = false; # the tests make network namespaces

  postInstall = ''
    install -D -m 0644 deploy/systemd/ndproxyd.service $out/lib/systemd/system/ndproxyd.service
    substituteInPlace $out/lib/systemd/system/ndproxyd.service \
      --replace-fail /usr/bin/ndproxyd $out/bin/ndproxyd \
      --replace-fail /bin/kill ${procps}/bin/kill
    install -D -m 0644 -t $out/share/doc/ndproxyd docs/*.md
  '';

  meta = {
    description = "IPv6 neighbor discovery proxy";
    homepage = "https://github.com/ndproxyd/ndproxyd";
    license = lib.licenses.asl20;
    platforms = lib.platforms.linux;
    mainProgram = "ndproxyd";
  };
}
