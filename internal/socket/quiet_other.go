//go:build !linux || (!amd64 && !arm64)

package socket

import "net"

func quiet(conn *net.TCPConn) net.Conn { return conn }
