#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""talk.py blocking|limited|select|poll|lt|et|asyncio PORT [HOST]: connects to PORT of the virtual machine, or of HOST, says "ping",
reads, and prints what came: an errno's name, or the bytes."""
import asyncio
import errno
import select
import socket
import struct
import sys

how, port = sys.argv[1], int(sys.argv[2])
WHERE = (sys.argv[3] if len(sys.argv) > 3 else "198.51.100.1", port)


def exchange(s):
    s.setblocking(True)
    s.sendall(b"ping")
    s.shutdown(socket.SHUT_WR) if port == 9 else None
    data = b""
    while b"ping" not in data and not data.endswith(b"bytes\n"):
        part = s.recv(100)
        if not part:
            return data + b" and the end"
        data += part
    return data


async def stream():
    reader, writer = await asyncio.open_connection(*WHERE)
    writer.write(b"ping")
    data = await reader.readuntil(b"ping")
    writer.close()
    return data


def waited():
    family, *_, where = socket.getaddrinfo(*WHERE, type=socket.SOCK_STREAM)[0]
    s = socket.socket(family)
    s.setblocking(False)
    epoll = select.epoll()
    if how == "et":
        epoll.register(s, select.EPOLLOUT | select.EPOLLET)
    assert s.connect_ex(where) == errno.EINPROGRESS
    if how == "select":
        select.select([], [s], [], 10)
    elif how == "poll":
        one = select.poll()
        one.register(s, select.POLLOUT)
        one.poll(10000)
    else:
        if how == "lt":
            epoll.register(s, select.EPOLLOUT)
        assert epoll.poll(10)
    error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, "")
    return exchange(s)


try:
    if how == "limited":  # by SO_SNDTIMEO, 300 ms
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 300000))
            s.connect(WHERE)
    elif how == "blocking":
        with socket.create_connection(WHERE) as s:
            print(exchange(s))
    else:
        print(asyncio.run(stream()) if how == "asyncio" else waited())
except OSError as error:
    print(errno.errorcode[error.errno])
