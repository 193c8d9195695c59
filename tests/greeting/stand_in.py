#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stand_in.py KIND PATH [--login USER:PASSWORD] [--delay MS] [--relay HOST]: what must be asked for a connection, as a Unix socket at PATH.

The host's end of a virtual machine's vsock: firecracker (1.16: the first read must find at least 10 bytes, and the whole
line within 32; a bare close refuses; OK has a port of 10 digits; SHUT_WR ends both ways), cloud-hypervisor (as that, but
the line may come in pieces and SHUT_WR is passed on; both have 1,023 connections and drop the next), vhost-device (the line is read with a buffer that is thrown away,
and OK has the guest's port). Facts: firecracker src/vmm/src/devices/virtio/vsock/unix/muxer.rs, cloud-hypervisor
virtio-devices/src/vsock/unix/muxer.rs, rust-vmm/vhost-device vhost-device-vsock, August 2026.
A proxy: socks5 (RFC 1928, 1929) or http (CONNECT).

With --relay a connection goes on to the port of HOST that was asked for. Else what lies behind depends on the port: 1 echoes; 2 speaks first, in the same packet as the answer; 3 refuses; 4 never
answers; 5 answers in single bytes; 6 answers too long; 7 with garbage; 8 without an end; 9 replies when the client has
ended; 10 answers as 1 after the delay; 11 says what a proxy was asked for; 12 is 10 and says "late" 0.4 s later; 13 says how
often 12 was asked for since then; 20 to 33: closes after that many bytes less 20
of its answer; 300 to 599: with that status of HTTP, and from 600 on with that less 600 as SOCKS5's reply."""
import argparse
import base64
import ipaddress
import os
import random
import resource
import socket
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("kind", choices=["firecracker", "cloud-hypervisor", "vhost-device", "socks5", "http"])
parser.add_argument("path")
parser.add_argument("--login")
parser.add_argument("--delay", type=int, default=500)
parser.add_argument("--relay")
options = parser.parse_args()
HELD = []
ASKED = []  # one for each request of port 12
MOST = 1023  # connections of a virtual machine: more are accepted and dropped


def exactly(client, size):
    data = b""
    while len(data) < size:
        part = client.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def read_socks(client):
    """The port, and what was asked for, with the login."""
    version, count = exactly(client, 2)
    methods = exactly(client, count)
    login = "-"
    wanted = 2 if options.login else 0
    if version != 5 or wanted not in methods:
        client.sendall(b"\x05\xff")
        raise EOFError
    client.sendall(bytes([5, wanted]))
    if options.login:
        assert exactly(client, 1) == b"\x01"
        user = exactly(client, exactly(client, 1)[0])
        login = (user + b":" + exactly(client, exactly(client, 1)[0])).decode()
        client.sendall(bytes([1, login != options.login]))
        if login != options.login:
            raise EOFError
    assert exactly(client, 3) == b"\x05\x01\x00"
    kind = exactly(client, 1)[0]
    size = {1: 4, 4: 16}.get(kind) or exactly(client, 1)[0]
    host = exactly(client, size)
    host = host.decode() if kind == 3 else str(ipaddress.ip_address(host))
    return int.from_bytes(exactly(client, 2), "big"), f"{host} {login}"


def read_http(client):
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += exactly(client, 1)
    lines = request.decode().split("\r\n")
    method, asked, version = lines[0].split()
    headers = dict(line.split(": ", 1) for line in lines[1:-2])
    assert method == "CONNECT" and version == "HTTP/1.1" and headers["Host"] == asked, request
    login = headers.get("Proxy-Authorization", "")
    login = base64.b64decode(login[6:]).decode() if login.startswith("Basic ") else "-"
    if login != (options.login or "-"):
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nlogin")
        raise EOFError
    host, port = asked.rsplit(":", 1)
    return int(port), f"{host} {login}"


def read_wish(client):
    if options.kind == "socks5":
        return read_socks(client)
    if options.kind == "http":
        return read_http(client)
    return read_port(client), ""


def answer_of(port):
    if options.kind == "socks5":
        bound = {0: b"\x01" + bytes(6), 1: b"\x04" + bytes(18), 2: b"\x03\x05proxy" + bytes(2)}
        return bytes([5, port - 600 if port >= 600 else 5 if port == 3 else 0, 0]) + bound[port % 3]
    if options.kind == "http":
        status = port if 300 <= port < 600 else 503 if port == 3 else 200
        return b"HTTP/1.%d %d Some Words\r\nVia: 1.1 proxy\r\nX-Empty:\r\n\r\n" % (port % 2, status)
    number = port if options.kind == "vhost-device" else random.randrange(1 << 30, 1 << 31)
    return b"OK %d\n" % number


def too_long():
    if options.kind == "http":
        return b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"y" * (20 << 10) + b"\r\n\r\n"
    return b"\x05\x00\x00\x09" + bytes(60) if options.kind == "socks5" else b"OK " + b"1" * 40 + b"\n"


def read_port(client):
    if options.kind == "firecracker":
        head = client.recv(10)
        if len(head) < 10:
            return None
        while not head.endswith(b"\n") and len(head) < 32:
            client.setblocking(False)
            byte = client.recv(1)
            client.setblocking(True)
            if not byte:
                return None
            head += byte
    elif options.kind == "cloud-hypervisor":
        head = b""
        while not head.endswith(b"\n") and len(head) < 32:
            byte = client.recv(1)
            if not byte:
                return None
            head += byte
    else:
        head = client.recv(4096).split(b"\n")[0] + b"\n"
    words = head[:-1].split() if head.endswith(b"\n") else []
    if len(words) != 2 or words[0].lower() != b"connect" or not words[1].isdigit():
        return None
    return int(words[1])


def echo(client):
    while data := client.recv(65536):
        client.sendall(data)
    if options.kind != "firecracker":
        client.shutdown(socket.SHUT_WR)


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        if options.kind == "firecracker":  # the host's end ends both ways
            source.shutdown(socket.SHUT_RDWR)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def relay(client, port):
    with socket.create_connection((options.relay, port)) as server:
        client.sendall(answer_of(1 if options.kind in ("socks5", "http") else port))
        back = threading.Thread(target=copy, args=(server, client))
        back.start()
        copy(client, server)
        back.join()


def serve(client):
    try:
        port, wish = read_wish(client)
        if options.relay and port is not None:
            relay(client, port)
            return
        proxy = options.kind in ("socks5", "http")
        if port is None or (port == 3 and not proxy):
            return
        answer = answer_of(port)
        if port == 4:
            HELD.append(client.dup())
            return
        if port == 12:
            ASKED.append(client)
        if port in (10, 12):
            time.sleep(options.delay / 1000)
        if port == 5:
            for byte in answer:
                client.sendall(bytes([byte]))
                time.sleep(0.002)
            echo(client)
        elif port == 6:
            client.sendall(too_long())
            time.sleep(0.2)
        elif port == 7:
            client.sendall(b"SSH-2.0-garbage\r\n")
            time.sleep(0.2)
        elif port == 8:
            client.sendall(answer[:-1])
            HELD.append(client.dup())
        elif port == 12:
            client.sendall(answer)
            time.sleep(0.4)
            client.sendall(b"late")
            echo(client)
        elif port == 13:
            client.sendall(answer + b"%d " % len(ASKED))
            ASKED.clear()
            echo(client)
        elif port == 2:
            client.sendall(answer + b"220 ready\r\n")
            echo(client)
        elif port == 9:
            client.sendall(answer)
            size = 0
            while data := client.recv(65536):
                size += len(data)
            if options.kind != "firecracker":
                client.sendall(b"%d bytes\n" % size)
        elif port == 11:
            client.sendall(answer + wish.encode() + b" ping")
            time.sleep(0.2)
        elif 20 <= port <= 33:
            client.sendall(answer[: port - 20])
        else:
            client.sendall(answer)
            echo(client)
    except (OSError, EOFError):
        pass
    finally:
        client.close()


try:
    os.unlink(options.path)
except FileNotFoundError:
    pass
listener = socket.socket(socket.AF_UNIX)
listener.bind(options.path)
listener.listen(1023)
print("ready", flush=True)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
threading.stack_size(256 * 1024)
while True:
    one = listener.accept()[0]
    if options.kind in ("firecracker", "cloud-hypervisor") and threading.active_count() > MOST:
        one.close()
    else:
        threading.Thread(target=serve, args=(one,), daemon=True).start()
