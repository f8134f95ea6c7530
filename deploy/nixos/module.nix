# SPDX-License-Identifier: Apache-2.0
#
# imports = [ .../deploy/nixos/module.nix ];
# services.ndproxyd.enable = true;
{ config, lib, pkgs, ... }:

let
  cfg = config.services.ndproxyd;
  yaml = pkgs.formats.yaml { };
  file = if cfg.configFile != null then cfg.configFile else yaml.generate "ndproxyd.yaml" cfg.settings;
in
{
  options.services.ndproxyd = {
    enable = lib.mkEnableOption "ndproxyd, an IPv6 neighbor discovery proxy";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package to use.";
    };

    settings = lib.mkOption {
      type = yaml.type;
      default = { version = 1; };
      example = {
        version = 1;
        uplinks = [{ interface = "eth0"; }];
        rules = [{ prefix = "2001:db8:1:0:f::/80"; method = "route"; }];
      };
      description = ''
        The configuration. Without rules, ndproxyd answers for what the kernel routes to
        devices behind this host.
      '';
    };

    configFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "A configuration file in place of settings.";
    };

    netAdmin = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Grant CAP_NET_ADMIN, which autowire, consume_unicast and drop_loops need.";
    };

    fastPath = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Grant what answers in the kernel (fast_path) need: CAP_BPF, CAP_NET_ADMIN, the call
        bpf and a folder in the BPF file system.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [{
      assertion = !(config.services.ndppd.enable or false);
      message = "services.ndproxyd and services.ndppd would answer each solicitation twice: enable one of them";
    }];

    environment.systemPackages = [ cfg.package ];
    environment.etc."ndproxyd/config.yaml".source = file;

    systemd.packages = [ cfg.package ];
    systemd.services.ndproxyd = {
      wantedBy = [ "multi-user.target" ];
      reloadTriggers = [ file ];
      serviceConfig = lib.mkMerge [
        (lib.mkIf (cfg.netAdmin || cfg.fastPath) {
          AmbientCapabilities = [ "CAP_NET_ADMIN" ];
          CapabilityBoundingSet = [ "CAP_NET_ADMIN" ];
        })
        # deploy/systemd/fast-path.conf says why.
        (lib.mkIf cfg.fastPath {
          AmbientCapabilities = [ "CAP_BPF" ];
          CapabilityBoundingSet = [ "CAP_BPF" ];
          SystemCallFilter = [ "bpf" ];
          TemporaryFileSystem = [ "/sys/fs:ro,mode=0755" ];
          BindReadOnlyPaths = [ "/sys/fs/cgroup" ];
          BindPaths = [ "-/sys/fs/bpf:/sys/fs/bpf-of-host" "-/sys/fs/bpf/ndproxyd" ];
          ExecStartPre = [
            "-+${pkgs.coreutils}/bin/mkdir -p -m 0700 /sys/fs/bpf-of-host/ndproxyd"
            "-+${pkgs.coreutils}/bin/chown -R --reference=/var/lib/private/ndproxyd /sys/fs/bpf-of-host/ndproxyd"
          ];
        })
      ];
    };
  };
}
