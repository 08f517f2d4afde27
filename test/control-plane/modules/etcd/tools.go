//go:build tools

// Package tools names the upstream command that the tests build from source,
// so that go.mod and go.sum pin it.
package tools

import _ "go.etcd.io/etcd/server/v3"
