module lasthop.dev/conformance/pause

go 1.26.0
