#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""beat.py select|poll|lt|et PORT: 50 connections that don't wait go to vm:PORT in one event loop, whose timer of 5 ms
must keep its beat meanwhile. Prints the longest gap in ms and how the connections ended. What this thread waited for a
CPU isn't part of a gap: a busy machine doesn't make the library late."""
import collections
import errno
import select
import socket
import sys
import time

how, port = sys.argv[1], int(sys.argv[2])
SOCKETS = {}
epoll, poll = select.epoll(), select.poll()
last, longest, endings = 0.0, 0.0, collections.Counter()


def clock():
    with open("/proc/thread-self/schedstat", encoding="ascii") as file:
        return time.monotonic() - int(file.read().split()[1]) / 1e9  # nanoseconds on a run queue


def beat():
    global last, longest
    now = clock()
    longest = max(longest, now - last)
    last = now


def ready():
    if how == "select":
        return [s.fileno() for s in select.select([], list(SOCKETS.values()), [], 0.005)[1]]
    return [fd for fd, _ in (poll.poll(5) if how == "poll" else epoll.poll(0.005))]


last = clock()
for _ in range(50):
    s = socket.socket()
    s.setblocking(False)
    if how == "et":  # as nginx: before connect()
        epoll.register(s, select.EPOLLOUT | select.EPOLLIN | select.EPOLLET)
    assert s.connect_ex(("198.51.100.1", port)) == errno.EINPROGRESS
    SOCKETS[s.fileno()] = s
    if how == "poll":
        poll.register(s, select.POLLOUT)
    elif how == "lt":
        epoll.register(s, select.EPOLLOUT)
    beat()
end = time.monotonic() + 20
while SOCKETS and time.monotonic() < end:
    for fd in ready():
        s = SOCKETS.pop(fd)
        if how == "poll":
            poll.unregister(fd)
        error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not error:
            s.setblocking(True)
            s.sendall(b"ping")
            error = 0 if s.recv(4) == b"ping" else -1
        endings["ok" if error == 0 else errno.errorcode.get(error, "wrong bytes")] += 1
        s.close()
    beat()
print(f"{longest * 1000:.1f}", *(f"{count}x{name}" for name, count in endings.items()), f"{len(SOCKETS)} left")
