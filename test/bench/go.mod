module github.com/ndproxyd/ndproxyd/test/bench

go 1.26.0

require (
	github.com/cilium/ebpf v0.22.0
	github.com/ndproxyd/ndproxyd v0.0.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/gaissmai/bart v0.30.0 // indirect
	github.com/mdlayher/ndp v1.1.0 // indirect
	github.com/mdlayher/packet v1.2.0 // indirect
	github.com/mdlayher/socket v0.7.0 // indirect
	github.com/vishvananda/netlink v1.3.1 // indirect
	github.com/vishvananda/netns v0.0.5 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/ndproxyd/ndproxyd => ../..
