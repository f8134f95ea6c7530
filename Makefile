# Commands of the project. "make demo" and "make test" are all that a newcomer
# needs; the demonstration, the tests and the measurements need root.
.POSIX:
.PHONY: all build demo test computing test-full bench bench-kubernetes compare fuzz lint control-plane go-is-there root-is-there reference generate generated emulators manifests packages image release clean help

GO      = go
CACHE   = .cache
TOOLS   = $(CACHE)/tools
GOTOOL  = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ../../$(TOOLS)/
VERSION = 0.1.0-dev
FUZZ    = 30

all: build

help:
	@echo 'make demo    show the main job on a network of its own (root)'
	@echo 'make test    run the suite (root)'
	@echo 'make bench   measure beside ndppd and the kernel, and draw docs/plots (root, two processors)'
	@echo 'make bench-kubernetes measure against a real API server (root, more than half an hour)'
	@echo 'make control-plane build the Kubernetes that the tests run against'
	@echo 'make compare show what ndproxyd and ndppd do, side by side (root)'
	@echo 'make fuzz    look for frames and files that break something; FUZZ=30: about so many seconds each'
	@echo 'make lint    run the linters'
	@echo 'make test-full run what takes systemd, a kubelet, a Prometheus, network plugins or other kernels (root)'
	@echo 'make reference write the generated parts of docs/ and deploy/ anew'
	@echo 'make generate compile the programs that answer in the kernel anew'
	@echo 'make packages deb, rpm, apk and pkg.tar.zst, into dist/; make image the image alone'
	@echo 'make release VERSION=1.2.3 all that a release has, into dist/'
	@echo 'make build   build bin/ndproxyd'

# sudo often has a PATH of its own, without Go.
go-is-there:
	@command -v $(GO) >/dev/null || { echo 'make: Go is missing: install Go 1.26 or newer (https://go.dev/doc/install). If it is there without sudo: sudo env PATH="$$PATH" make ...' >&2; exit 3; }

root-is-there:
	@test "$$(id -u)" = 0 || { echo 'make: this builds network namespaces, which takes root: run it with sudo' >&2; exit 3; }

build: go-is-there
	@echo '== building bin/ndproxyd'
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ndproxyd ./cmd/ndproxyd

demo: root-is-there build
	@bin/ndproxyd demo

# The race detector needs a C compiler; the tests run without it, too. Nothing is taken
# from the cache, which does not see that the daemon that a test builds has changed.
# What runs against an API server waits for most of its time, so it runs beside the rest,
# of which what takes longest begins first.
# ALONE and GUIDE are those of these tests that bound how much is lost: they come when the
# rest is done, one of each at a time, and what computes beside them gives way to them.
# COMPUTING are tests of one goroutine that compute for long: the race detector, which
# makes them ten times slower, has nothing to see there.
ALONE = ^(TestMassDelete|TestOutage|TestOwner|TestOwnershipModes|TestReload|TestRival)$$
GUIDE = ^TestGuide$$
COMPUTING = ^(TestIncremental|TestSeats|TestChaos)$$
# Make runs a line that names $(MAKE) even where it is only to print it.
SELF = $(MAKE)
LONGEST = ./test/integration ./internal/ownership ./internal/fastpath ./pkg/ndp

test: root-is-there go-is-there control-plane $(CACHE)/recipes/done $(TOOLS)/wireguard
	@if command -v "$$($(GO) env CC)" >/dev/null; then race=-race; else race=; echo '== no C compiler: testing without the race detector'; fi; \
	CGO_ENABLED=$${race:+1}; export CGO_ENABLED=$${CGO_ENABLED:-0}; failed=; \
	echo "== testing all packages$${race:+ with the race detector}: builds the daemon, then runs it in network namespaces"; \
	echo '== beside that: testing against a real API server'; \
	(cd test/kubernetes && exec $(GO) test $$race -count 1 -timeout 20m -parallel 5 -skip '$(ALONE)|$(GUIDE)' ./...) >$(CACHE)/kubernetes.log 2>&1 & beside=$$!; \
	trap 'kill $$beside; exit 1' INT TERM; \
	$(GO) test $$race -count 1 -timeout 20m -p 3 -parallel 6 -skip '$(COMPUTING)' $(LONGEST) ./... || failed=1; \
	wait $$beside || failed=1; \
	echo '== what the tests against a real API server say'; cat $(CACHE)/kubernetes.log; \
	echo '== and those that bound what is lost; beside them, tests that compute, the measurements, and fuzzing for a moment'; \
	(cd test/kubernetes && exec $(GO) test $$race -count 1 -timeout 20m -run '$(GUIDE)' .) >$(CACHE)/guide.log 2>&1 & guide=$$!; \
	nice -n 19 $(SELF) -s computing >$(CACHE)/computing.log 2>&1 & computing=$$!; \
	trap 'kill $$guide $$computing; exit 1' INT TERM; \
	(cd test/kubernetes && $(GO) test $$race -count 1 -timeout 20m -run '$(ALONE)' .) || failed=1; \
	wait $$guide || failed=1; cat $(CACHE)/guide.log; \
	wait $$computing || failed=1; cat $(CACHE)/computing.log; \
	test -z "$$failed"
	@echo '== left to "make test-full": the release, systemd 252 and 257, a kubelet with the chart, a Prometheus with the alerts, other kernels, real network plugins, a cut switch port, a planned stop without a successor, ten million solicitations'

# What computes, and needs neither the race detector nor a machine that is quick.
computing: go-is-there
	@$(GO) test -count 1 -timeout 20m -run '$(COMPUTING)' ./pkg/rules ./internal/ownership
	@echo '== testing the measurements: they compile, and their tables and plots are right'
	@cd test/bench && $(GO) vet ./... && $(GO) test ./...
	@echo '== fuzzing for a moment'
	@$(MAKE) -s fuzz FUZZ=5

# What takes more than network namespaces: a real systemd, a kubelet, a Prometheus, network
# plugins.
ROOTS = $(CACHE)/debian/bookworm/done $(CACHE)/debian/trixie/done
PLUGINS = $(CACHE)/plugins/bin
# FULL are the tests of test/kubernetes itself that are left to it.
FULL = ^(TestCut|TestRivalOnNode)$$
# FULLER are those of test/integration.
FULLER = ^(TestStopHold|TestMemory)$$

# Kernels that qemu starts, each on one processor: what Debian has of the years since 2022, and
# of other processors. Debian has no 5.15 and no 6.6.
KERNELS = bullseye/5.10/amd64 bookworm/6.1/amd64 trixie/6.12/amd64 trixie-backports/7/amd64 trixie/6.12/arm64 bookworm/6.1/s390x

test-full: root-is-there go-is-there emulators $(KERNELS:%=$(CACHE)/kernels/%/done) $(ROOTS) $(CACHE)/ndppd/usr/sbin/ndppd $(CACHE)/runc/done $(TOOLS)/prometheus $(TOOLS)/containerd $(PLUGINS)/cnitool $(PLUGINS)/flanneld $(PLUGINS)/kube-router $(PLUGINS)/cilium-agent $(CACHE)/plugins/debian/done
	@$(MAKE) -s release control-plane
	@echo '== testing the release, and the packages under systemd 252 and 257'
	@$(GO) test -tags full -count 1 -timeout 20m ./test/release ./test/systemd
	@echo '== testing the chart on two nodes with a kubelet, and the alerts and the dashboard with a Prometheus'
	@cd test/kubernetes && $(GO) test -tags full -count 1 -p 1 -timeout 20m ./monitoring ./node
	@echo '== testing the program in the kernel on the kernels $(KERNELS)'
	@$(GO) test -tags full -count 1 -timeout 20m -parallel 2 ./test/kernels
	@echo '== testing beside network plugins'
	@cd test/kubernetes && $(GO) test -tags full -count 1 -timeout 20m ./plugins
	@echo '== testing a cut switch port, a proxy entry of the kernel on a node, a planned stop without a successor, and ten million solicitations'
	@(cd test/kubernetes && exec $(GO) test -tags full -count 1 -timeout 20m -run '$(FULL)' .) & beside=$$!; failed=; \
	trap 'kill $$beside; exit 1' INT TERM; \
	$(GO) test -tags full -count 1 -timeout 20m -run '$(FULLER)' ./test/integration || failed=1; \
	wait $$beside || failed=1; \
	test -z "$$failed"

# The network plugins that the daemon is tested beside, and the programs that call them.
PLUGIN  = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(CURDIR)/$(PLUGINS)/

$(PLUGINS)/cnitool: tools/cni/go.sum
	@echo '== building the reference network plugins' && mkdir -p $(PLUGINS) && cd tools/cni && $(PLUGIN) tool

# Its main function without two backends: tencentvpc, whose SDK the module proxy does not
# serve, and udp, which is C.
$(PLUGINS)/flanneld: tools/flannel/go.sum
	@echo '== building flannel'
	@rm -rf $(CACHE)/plugins/flannel && mkdir -p $(PLUGINS) $(CACHE)/plugins/flannel && cp tools/flannel/go.mod tools/flannel/go.sum $(CACHE)/plugins/flannel
	@cd $(CACHE)/plugins/flannel && $(GO) mod download github.com/flannel-io/flannel && \
	grep -vE '"github.com/flannel-io/flannel/pkg/backend/(tencentvpc|udp)"' "$$($(GO) list -m -f '{{.Dir}}' github.com/flannel-io/flannel)/main.go" >main.go && \
	$(PLUGIN)flanneld .

$(PLUGINS)/kube-router: tools/kube-router/go.sum
	@echo '== building kube-router' && mkdir -p $(PLUGINS) && cd tools/kube-router && $(PLUGIN) tool

# The agent compiles its programs of the sources that are copied beside it.
$(PLUGINS)/cilium-agent: tools/cilium/go.sum
	@echo '== building Cilium: some minutes the first time' && mkdir -p $(PLUGINS) $(CACHE)/plugins/cilium && cd tools/cilium && $(PLUGIN) tool
	@rm -rf $(CACHE)/plugins/cilium/bpf && cp -r "$$(cd tools/cilium && $(GO) list -m -f '{{.Dir}}' github.com/cilium/cilium)/bpf" $(CACHE)/plugins/cilium && chmod -R u+w $(CACHE)/plugins/cilium
	@cd $(PLUGINS) && mv operator cilium-operator && mv daemon cilium-agent

# What the plugins' agents call and the tests' control plane does not bring, unpacked from
# Debian's packages and not installed, with what these need that this host has not.
CALLED = ipset libipset13 clang-19 libllvm19 libclang-cpp19 libclang-common-19-dev

$(CACHE)/plugins/debian/done:
	@echo '== fetching the Debian packages $(CALLED)'
	@rm -rf $(CACHE)/plugins/debian && mkdir -p $(CACHE)/plugins/debian/debs/partial && cd $(CACHE)/plugins/debian/debs && \
	get='apt-get install -q -y --download-only --reinstall --no-install-recommends -o Dir::Cache::archives=$(CURDIR)/$(CACHE)/plugins/debian/debs' && \
	{ $$get $(CALLED) >/dev/null 2>&1 || { apt-get update >/dev/null && $$get $(CALLED) >/dev/null; }; } && \
	for deb in *.deb; do dpkg -x "$$deb" ..; done && cd .. && rm -rf debs
	@touch $@

$(CACHE)/kernels/%/done: test/kernels/fetch.sh
	@echo '== fetching the kernel $*'
	@test/kernels/fetch.sh $* $(CACHE)/kernels/$*
	@touch $@

EMULATORS = qemu-system-x86 qemu-system-arm qemu-system-misc

emulators:
	@command -v qemu-system-x86_64 >/dev/null && command -v qemu-system-aarch64 >/dev/null && command -v qemu-system-s390x >/dev/null || { \
	echo '== installing $(EMULATORS)'; \
	{ apt-get install -y --no-install-recommends $(EMULATORS) >/dev/null 2>&1 || \
	{ apt-get update >/dev/null && apt-get install -y --no-install-recommends $(EMULATORS) >/dev/null; }; }; }

# Roots of Debian, which the tests put a layer of their own over.
$(CACHE)/debian/%/done:
	@command -v debootstrap >/dev/null && command -v systemd-nspawn >/dev/null && command -v rpm >/dev/null || { \
	echo '== installing debootstrap, systemd-container and rpm'; \
	{ apt-get install -y --no-install-recommends debootstrap systemd systemd-container rpm >/dev/null 2>&1 || \
	{ apt-get update >/dev/null && apt-get install -y --no-install-recommends debootstrap systemd systemd-container rpm >/dev/null; }; }; }
	@echo '== making a root of Debian $*'
	@rm -rf $(CACHE)/debian/$* && mkdir -p $(CACHE)/debian
	@debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,procps,man-db $* $(CACHE)/debian/$* >$(CACHE)/debian/$*.log 2>&1 || { tail $(CACHE)/debian/$*.log; exit 1; }
	@touch $@

# What containerd starts pods with, unpacked and not installed.
$(CACHE)/runc/done:
	@echo '== fetching the Debian package runc'
	@rm -rf $(CACHE)/runc && mkdir -p $(CACHE)/runc && cd $(CACHE)/runc && \
	{ apt-get download runc libseccomp2 >/dev/null 2>&1 || { apt-get update >/dev/null && apt-get download runc libseccomp2 >/dev/null; }; } && \
	for deb in *.deb; do dpkg -x "$$deb" .; done && rm *.deb
	@touch $@

# What docs/recipes is about, as far as it runs without a service manager, unpacked and not
# installed: these packages, and what they need that this host has not.
RECIPES = openvpn keepalived radvd wireguard-tools iptables iproute2 iputils-ping

$(CACHE)/recipes/done:
	@echo '== fetching the Debian packages $(RECIPES)'
	@rm -rf $(CACHE)/recipes && mkdir -p $(CACHE)/recipes/debs/partial $(CACHE)/recipes/usr && cd $(CACHE)/recipes/debs && \
	get='apt-get install -q -y --download-only --reinstall --no-install-recommends -o Dir::Cache::archives=$(CURDIR)/$(CACHE)/recipes/debs' && \
	{ $$get $(RECIPES) >/dev/null 2>&1 || { apt-get update >/dev/null && $$get $(RECIPES) >/dev/null; }; } && \
	for deb in *.deb; do dpkg -x "$$deb" ../root; done
	@cd $(CACHE)/recipes && for part in bin sbin lib; do test ! -d root/$$part || { mkdir -p root/usr/$$part && cp -a root/$$part/. root/usr/$$part; }; done && \
	for part in bin sbin lib; do test ! -d root/usr/$$part || mv root/usr/$$part usr/; done && rm -rf debs root
	@touch $@

# The programs are built from their modules, which takes some minutes once.
KUBERNETES = v1.37.1
CONTROL    = $(CACHE)/kubernetes/$(KUBERNETES)

control-plane: $(CONTROL)/done $(CACHE)/netfilter/done

$(CONTROL)/done: test/kubernetes/controlplane/go.mod test/kubernetes/controlplane/go.sum
	@echo '== building kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet, kubectl and etcd: some minutes the first time'
	@mkdir -p $(CONTROL)
	@cd test/kubernetes/controlplane && v=k8s.io/component-base/version && CGO_ENABLED=0 $(GO) build -trimpath \
	-ldflags "-s -w -X $$v.gitVersion=$(KUBERNETES) -X $$v.gitMajor=1 -X $$v.gitMinor=37 -X k8s.io/client-go/pkg/version.gitVersion=$(KUBERNETES)" \
	-o ../../../$(CONTROL)/ tool && mv ../../../$(CONTROL)/server ../../../$(CONTROL)/etcd
	@touch $@

# What kube-proxy calls, unpacked from Debian's packages and not installed.
NETFILTER = nftables iptables libnftnl11 libnftables1 libip4tc2 libip6tc2 libnfnetlink0 libnetfilter-conntrack3 libxtables12 libmnl0 libjansson4 libedit2 libbsd0 libmd0 libgmp10

$(CACHE)/netfilter/done:
	@echo '== fetching the Debian packages nftables and iptables'
	@rm -rf $(CACHE)/netfilter && mkdir -p $(CACHE)/netfilter/debs $(CACHE)/netfilter/bin $(CACHE)/netfilter/lib && cd $(CACHE)/netfilter/debs && \
	{ apt-get download $(NETFILTER) >/dev/null 2>&1 || { apt-get update >/dev/null && apt-get download $(NETFILTER) >/dev/null; }; } && \
	for deb in *.deb; do dpkg -x "$$deb" ../root; done
	@cd $(CACHE)/netfilter && cp -a root/usr/sbin/nft root/usr/sbin/xtables-nft-multi bin && \
	find root -name 'lib*.so*' ! -path '*/xtables/*' -exec cp -a {} lib \; && cp -a root/usr/lib/*/xtables xtables && \
	for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do ln -sf xtables-nft-multi bin/$$name; done && \
	rm -rf debs root
	@touch $@

# Counted and not timed: Go before 1.27 now and then fails a target as its time
# is up (go.dev/issue/75804). A count is about what one second does, times FUZZ.
fuzz:
	@fuzz() { $(GO) test -run '^$$' -fuzz "^$$1\$$" -fuzztime $$(($$3 * $(FUZZ)))x -fuzzminimizetime 1000x "$$2"; }; set -e; \
	fuzz FuzzRespond ./pkg/ndp 50000; \
	fuzz FuzzProgram ./test/conformance 2000; \
	fuzz FuzzParse ./internal/config 3000; \
	fuzz FuzzNDPPD ./internal/config 10000; \
	fuzz FuzzMessages ./pkg/hostwatch 25000

bench: build $(CACHE)/ndppd/usr/sbin/ndppd
	@echo '== the responder alone, and the program in the kernel alone'
	@$(GO) test -run '^$$' -bench . -count 5 ./pkg/ndp ./internal/fastpath
	@echo '== following routes, a scan, an address that moves'
	@$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./test/measure
	@echo '== every way to answer, side by side with ndppd, the kernel and a bare reflector'
	@cd test/bench && $(GO) build -o ../../bin/bench .
	@bin/bench -ndproxyd bin/ndproxyd -ndppd $(CACHE)/ndppd/usr/sbin/ndppd -plots docs/plots -page docs/performance.md

bench-kubernetes: control-plane
	@echo '== pods, services, failover, a large cluster, many links, nodes that are called in, memory, an outage of ten minutes'
	@cd test/kubernetes && $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./measure

compare: $(CACHE)/ndppd/usr/sbin/ndppd
	@echo '== ndproxyd and ndppd on the same links with the same ndppd.conf'
	@NDPPD=$(CURDIR)/$(CACHE)/ndppd/usr/sbin/ndppd $(GO) test -count 1 -run '^TestCompare$$' -v ./test/compare | grep -E '^ +\||FAIL|^ok'

# Debian's package is unpacked here and not installed: nothing of the host changes.
$(CACHE)/ndppd/usr/sbin/ndppd:
	@echo '== fetching the Debian package ndppd'
	@mkdir -p $(CACHE) && cd $(CACHE) && \
	{ apt-get download ndppd >/dev/null 2>&1 || { apt-get update >/dev/null && apt-get download ndppd >/dev/null; }; } && \
	dpkg -x ndppd_*.deb ndppd

$(CACHE)/golangci-lint: tools/go.mod tools/go.sum
	@echo '== building golangci-lint'
	@mkdir -p $(CACHE)
	@cd tools && $(GO) build -o ../$(CACHE)/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

lint: $(CACHE)/golangci-lint generated
	@echo '== linting'
	@$(CACHE)/golangci-lint run --build-tags full ./...
	@cd test/bench && ../../$(CACHE)/golangci-lint run --config ../../.golangci.yml ./...
	@cd test/kubernetes && ../../$(CACHE)/golangci-lint run --build-tags full --config ../../.golangci.yml ./...
	@for tool in man image; do (cd tools/$$tool && ../../$(CACHE)/golangci-lint run --config ../../.golangci.yml ./...) || exit 1; done

# The programs that answer in the kernel, for processors of both byte orders, and the Go
# code that embeds them. They are committed, so that nobody else needs a compiler. Only
# one compiler makes the same octets: tools/bpf2go/clang.sh links or fetches it.
PROGRAMS = internal/fastpath
BPF2GO   = PATH="$(CURDIR)/$(TOOLS):$$PATH" BPF2GO_CC="$(CURDIR)/$(CACHE)/clang/bin/clang" BPF2GO_STRIP="$(CURDIR)/$(CACHE)/clang/bin/llvm-strip"

generate: go-is-there $(TOOLS)/bpf2go
	@tools/bpf2go/clang.sh $(CACHE)/clang
	@echo '== compiling the programs that answer in the kernel'
	@$(BPF2GO) $(GO) generate ./$(PROGRAMS)

# Compiles them in a folder of their own, and compares with what is committed octet by octet.
generated: go-is-there $(TOOLS)/bpf2go
	@tools/bpf2go/clang.sh $(CACHE)/clang
	@echo '== compiling the programs that answer in the kernel, to compare them with the committed ones'
	@rm -rf $(CACHE)/generated && mkdir -p $(CACHE)/generated && cp -r $(PROGRAMS)/generate.go $(PROGRAMS)/bpf $(CACHE)/generated
	@cd $(CACHE)/generated && $(BPF2GO) $(GO) generate generate.go && ls ./*.o >/dev/null
	@for file in $(CACHE)/generated/*.go $(CACHE)/generated/*.o; do cmp "$$file" "$(PROGRAMS)/$${file##*/}" || { \
	echo "make: $(PROGRAMS)/$${file##*/} is not what its source compiles to: run \"make generate\" and commit what it changes" >&2; exit 1; }; done

$(TOOLS)/bpf2go: tools/bpf2go/go.sum
	@echo '== building bpf2go' && cd tools/bpf2go && $(GOTOOL) tool

# Programs of others and small ones of ours, each from a module with its versions.
$(TOOLS)/helm: tools/helm/go.sum
	@echo '== building helm' && cd tools/helm && $(GOTOOL) tool

$(TOOLS)/nfpm: tools/nfpm/go.sum
	@echo '== building nfpm' && cd tools/nfpm && $(GOTOOL) tool

$(TOOLS)/cyclonedx-gomod: tools/cyclonedx/go.sum
	@echo '== building cyclonedx-gomod' && cd tools/cyclonedx && $(GOTOOL) tool

$(TOOLS)/prometheus $(TOOLS)/promtool &: tools/prometheus/go.sum
	@echo '== building prometheus and promtool: some minutes the first time' && cd tools/prometheus && $(GOTOOL) tool

$(TOOLS)/containerd $(TOOLS)/containerd-shim-runc-v2 $(TOOLS)/ctr &: tools/containerd/go.sum
	@echo '== building containerd: some minutes the first time' && cd tools/containerd && $(GOTOOL) tool

# WireGuard in user space: the kernel of the tests may have none.
$(TOOLS)/wireguard: tools/wireguard/go.sum
	@echo '== building wireguard-go' && cd tools/wireguard && $(GOTOOL) tool

$(TOOLS)/man: tools/man/main.go tools/man/go.sum
	@cd tools/man && $(GOTOOL) .

$(TOOLS)/image: tools/image/main.go tools/image/go.sum
	@cd tools/image && $(GOTOOL) .

ARCHES = amd64 arm64
PACKERS = $(TOOLS)/nfpm $(TOOLS)/cyclonedx-gomod $(TOOLS)/man $(TOOLS)/image $(TOOLS)/helm

packages: $(PACKERS)
	@deploy/release.sh $(VERSION) "$(ARCHES)" packages

image: $(PACKERS)
	@deploy/release.sh $(VERSION) "$(ARCHES)" image

release: $(PACKERS)
	@deploy/release.sh $(VERSION) "$(ARCHES)" packages image chart archives

# What the code says of keys, commands and metrics, and what the chart comes to.
reference: manifests
	@$(GO) test ./internal/reference ./cmd/ndproxyd -run 'TestTables|TestExample|TestCommandReference' -update >/dev/null

CHART = $(TOOLS)/helm template ndproxyd deploy/helm/ndproxyd --namespace ndproxyd --no-hooks --set namespace.create=true

manifests: $(TOOLS)/helm
	@$(CHART) -s templates/namespace.yaml -s templates/rbac.yaml 2>/dev/null >deploy/kubernetes/rbac.yaml
	@$(CHART) -s templates/admission.yaml 2>/dev/null >deploy/kubernetes/admission.yaml
	@$(CHART) 2>/dev/null >deploy/kubernetes/ndproxyd.yaml

clean:
	rm -rf bin dist $(CACHE)
