// SPDX-License-Identifier: MIT
// A client and a server in Go, as it makes its sockets: HTTP over net/http, and plain connections.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

func fail(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	fail(err)
	fmt.Println("listening on", listener.Addr())
	fail(http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(answer, "hello", request.RemoteAddr)
	})))
}

func get(url string) {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(url)
	fail(err)
	body, err := io.ReadAll(answer.Body)
	fail(err)
	fmt.Print(string(body))
}

// Half a connection closed: everything that was sent comes back, then the end.
func halfClose(address string) {
	connection, err := net.DialTimeout("tcp", address, 10*time.Second)
	fail(err)
	fmt.Println(connection.RemoteAddr(), connection.LocalAddr().(*net.TCPAddr).IP)
	fmt.Fprintf(connection, "GET / HTTP/1.0\r\n\r\n")
	fail(connection.(*net.TCPConn).CloseWrite())
	body, err := io.ReadAll(connection)
	fail(err)
	fmt.Println(len(body) > 0)
}

func cancel(address string) {
	context, end := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer end()
	var dialer net.Dialer
	_, err := dialer.DialContext(context, "tcp", address)
	fmt.Println(err)
}

// A server that reads its configuration again: the new listener has SO_REUSEPORT, as the old one, which then ends. In Go
// neither is bound without listening.
func reload(address string) {
	reuse := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, 15, 1) })
		return
	}}
	for old := (net.Listener)(nil); ; {
		listener, err := reuse.Listen(context.Background(), "tcp", address)
		fail(err)
		go http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(answer, "served")
		}))
		get("http://" + address + "/")
		if old != nil {
			fail(old.Close())
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			get("http://" + address + "/")
			fail(listener.Close())
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			_, err := net.Dial("tcp", address)
			fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
			return
		}
		old = listener
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "get":
		get(os.Args[2])
	case "half":
		halfClose(os.Args[2])
	case "reload":
		reload(os.Args[2])
	case "cancel":
		cancel(os.Args[2])
	}
}
