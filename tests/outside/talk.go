// SPDX-License-Identifier: MIT
// A client and a server in Go, as it makes its sockets: HTTP over net/http, and plain connections.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "get":
		get(os.Args[2])
	case "half":
		halfClose(os.Args[2])
	case "cancel":
		cancel(os.Args[2])
	}
}
